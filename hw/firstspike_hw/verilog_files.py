# SPDX-License-Identifier: MIT
"""What reading Verilog and its memory images takes: names and formats. Nothing is elaborated here."""

import re

from firstspike_arch.memory import MemoryShape

from .toolchain import ToolError

__all__ = ["TOP", "VerilogError", "external_file", "hex_image", "image_file", "top_of"]

TOP = "firstspike"
"""Name of the top module, unless another is given so that several accelerators can be parts of one design."""


class VerilogError(ToolError):
    """The Verilog back end failed, or its text or images are not as expected."""


def top_of(text: str) -> str:
    """Return the name of the top module, the first one in Verilog text that `firstspike_hw.verilog` wrote."""
    found = re.search(r"^module (\w+)\(", text, re.MULTILINE)
    if not found:
        raise VerilogError("Verilog must begin with the top module, but has no module")
    return found[1]


def image_file(shape: MemoryShape, top: str = TOP) -> str:
    """Return the name of the file from which $readmemh loads a memory of the accelerator with this top module."""
    return f"{shape.name}.hex" if top == TOP else f"{top}_{shape.name}.hex"


def external_file(top: str = TOP) -> str:
    """Return the name of the image of the external memory of the accelerator with this top module (`MemoryImage`)."""
    return f"{top}_external.fsmem"


def hex_image(words: list[int], shape: MemoryShape) -> str:
    """Format the contents of a memory for $readmemh, one word a line."""
    if len(words) != shape.depth:
        raise VerilogError(f"image of {shape.name} must have {shape.depth} words, not {len(words)}")
    digits = -(-shape.width // 4)
    return "".join(f"{word:0{digits}x}\n" for word in words)
