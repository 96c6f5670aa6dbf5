# SPDX-License-Identifier: MIT
"""Simulated external memory of a board: a simple one at its streams, beside the board's module."""

import re
from importlib import resources

from firstspike_arch.program import Program
from firstspike_hw.verilog_files import TOP

__all__ = ["BOARD", "with_memory"]

BOARD = "board"
"""Name of the module of board and memory."""


def with_memory(text: str, program: Program) -> str:
    """Return the Verilog of a board, of module `TOP`, with a memory for the external weights of its program: module
    `BOARD` has the ports of the board but those of its memory."""
    module = re.search(rf"^module {TOP}\(.*?^endmodule", text, re.MULTILINE | re.DOTALL)
    assert module, "the exported Verilog has its top module"
    ports = [(way, f"[{high}:0] " if high else "", name) for way, high, name in
             re.findall(r"^  (input|output) (?:\[(\d+):0\] )?(\w+);", module[0], re.MULTILINE)]
    own = [port for port in ports if not port[2].startswith("memory_")]
    beat_bits = program.config.beat_bits
    beats = -(-program.external_octets * 8 // beat_bits)
    inner = [(width, name) for _, width, name in ports if name.startswith("memory_")]
    return "\n".join([
        text, resources.files("firstspike_sim.boards").joinpath("stream_memory.v").read_text(encoding="utf-8"),
        f"module {BOARD}({', '.join(' '.join(port) for port in own)});",
        *(f"  wire {width}{name};" for width, name in inner),
        f"  {TOP} accelerator({', '.join(f'.{name}({name})' for _, _, name in ports)});",
        f"  stream_memory #(.BEAT_BITS({beat_bits}), .BEATS({beats}))",
        f"    memory(.clk(clk), .rst(rst), {', '.join(f'.{name[7:]}({name})' for _, name in inner)});",
        "endmodule\n",
    ])
