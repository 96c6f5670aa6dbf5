# SPDX-License-Identifier: MIT
"""Bench for an SDRAM: our side, LiteDRAM's controller with its pins, and a chip that checks every command."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from firstspike_hw.beat_streams import ADDRESS_BITS, BEATS_BITS
from firstspike_hw.sdram.sdram_core import CORE, SdramCore
from firstspike_hw.sdram.sdram_memory import SdramMemory
from firstspike_hw.verilog import verilog
from firstspike_hw.verilog_files import TOP

from ..backends.cocotb_run import run_bench

__all__ = ["SdramPhase", "run_sdram"]

_SIDE = "memory"
"""Name of the module of our side."""


@dataclass(frozen=True, kw_only=True)
class SdramPhase:
    """So many cycles in which writes, (address, beat), or requests, (address, beats), are offered; with a seed, both
    sides wait at random."""

    writes: Sequence[tuple[int, int]] = ()
    requests: Sequence[tuple[int, int]] = ()
    cycles: int
    seed: int | None = None


def run_sdram(core: SdramCore, phases: Sequence[SdramPhase], *, data_bits: int) -> list[dict]:
    """Run phases one after the other, from when the chip is started, in Verilator.

    Returns
    -------
    list of dict
        Of each phase: ``answers``, (cycle, data, last, error) of each beat with the cycle of the phase; ``left``, words
        that were not taken; and ``fault`` of ``sdram_chip.v``, 0 if no rule was broken since power-up.

    Raises
    ------
    ToolError
        The simulator is missing or failed.
    """
    with tempfile.TemporaryDirectory(prefix="firstspike-") as name:
        folder = Path(name)
        (folder / f"{TOP}.v").write_text(_design(core, data_bits))
        (folder / "plan.json").write_text(json.dumps({"data_bits": data_bits, "phases": [{
            "offers": {"writes": [data << ADDRESS_BITS | address for address, data in phase.writes],
                       "requests": [beats << ADDRESS_BITS | address for address, beats in phase.requests]},
            "cycles": phase.cycles, "seed": phase.seed} for phase in phases]}))
        outcome = run_bench(folder, "verilator", "firstspike_sim.backends.benches.bench_sdram", "seen.json",
                            optimise=False)
        return json.loads(outcome.read_text())


def _design(core: SdramCore, data_bits: int) -> str:
    """Verilog of everything, with the streams of our side as its ports."""
    side = verilog(SdramMemory(core.chip, core.steps, data_bits=data_bits), [], top=_SIDE)
    models = [resources.files("firstspike_sim.boards").joinpath(name).read_text(encoding="utf-8")
              for name in ("sdram_chip.v", "ecp5_pins.v")]
    return "\n".join([side, core.text, *models, _top(core, data_bits)])


def _top(core: SdramCore, data_bits: int) -> str:
    chip = core.chip
    widths: Mapping[str, int] = {
        "user_port_0_cmd_valid": 1, "user_port_0_cmd_ready": 1, "user_port_0_cmd_we": 1,
        "user_port_0_cmd_addr": chip.word_address_bits, "user_port_0_wdata_valid": 1, "user_port_0_wdata_ready": 1,
        "user_port_0_wdata_we": 2, "user_port_0_wdata_data": 16, "user_port_0_rdata_valid": 1,
        "user_port_0_rdata_ready": 1, "user_port_0_rdata_data": 16, "wb_ctrl_adr": 30, "wb_ctrl_dat_w": 32,
        "wb_ctrl_sel": 4, "wb_ctrl_cyc": 1, "wb_ctrl_stb": 1, "wb_ctrl_we": 1, "wb_ctrl_ack": 1,
    }
    wires = "\n".join(f"  wire [{width - 1}:0] {name};" for name, width in widths.items())
    shared = ", ".join(f".{name}({name})" for name in widths)
    pins = ("a", "ba", "cas_n", "cke", "cs_n", "dm", "dq", "ras_n", "we_n")
    streams = {"requests": ("input", ADDRESS_BITS + BEATS_BITS), "writes": ("input", ADDRESS_BITS + data_bits),
               "responses": ("output", data_bits + 2)}
    ports, own = [], []
    for name, (way, width) in streams.items():
        back = "output" if way == "input" else "input"
        ports += [f"{way} {name}_valid", f"{back} {name}_ready", f"{way} [{width - 1}:0] {name}_payload"]
        own += [f".{name}_{part}({name}_{part})" for part in ("valid", "ready", "payload")]
    return f"""
module {TOP}(input clk, input rst, {", ".join(ports)}, output started, output [3:0] fault);
{wires}
  wire [{chip.row_bits - 1}:0] a;
  wire [1:0] ba, dm;
  wire [15:0] dq;
  wire cas_n, cke, cs_n, ras_n, we_n;
  {_SIDE} side(.clk(clk), .rst(rst), .started(started), {", ".join(own)}, {shared});
  {CORE} core(.clk(clk), .rst(rst), .init_done(), .init_error(), .user_clk(), .user_rst(), .wb_ctrl_bte(2'b0),
    .wb_ctrl_cti(3'b0), .wb_ctrl_dat_r(), .wb_ctrl_err(), {shared},
    {", ".join(f".sdram_{pin}({pin})" for pin in pins)});
  // The chip's clock is the other edge, so that its commands and data are stable on both sides.
  sdram_chip #(.PS({round(1e12 / core.clk_hz)}), .ROW_BITS({chip.row_bits}), .COLUMN_BITS({chip.column_bits}))
    chip(.clk(~clk), .fault(fault), {", ".join(f".{pin}({pin})" for pin in pins)});
endmodule
"""
