# SPDX-License-Identifier: MIT
"""What reading Verilog and its memory images takes: names and formats. Nothing is elaborated here."""

from firstspike_arch.memory import MemoryShape

from .toolchain import ToolError

__all__ = ["TOP", "VerilogError", "hex_image"]

TOP = "firstspike"
"""Name of the top module."""


class VerilogError(ToolError):
    """The Verilog back end failed, or its text or images are not as expected."""


def hex_image(words: list[int], shape: MemoryShape) -> str:
    """Format the contents of a memory for $readmemh, one word a line."""
    if len(words) != shape.depth:
        raise VerilogError(f"image of {shape.name} must have {shape.depth} words, not {len(words)}")
    digits = -(-shape.width // 4)
    return "".join(f"{word:0{digits}x}\n" for word in words)
