# SPDX-License-Identifier: MIT
"""A Verilated board as a process: commands go in, answers with octets come out."""

import struct
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from firstspike_arch.memory import MemoryShape
from firstspike_arch.toolchain import Tool, ToolError
from firstspike_hw.verilog import hex_image

__all__ = ["BoardProcess"]


class BoardProcess:
    """
    Parameters
    ----------
    binary : Tool
    arguments : sequence of str
    contents : mapping of MemoryShape to sequence of int
        Of the memories that the Verilog loads from files.

    Raises
    ------
    ToolError
        By `ask`: the process has ended.
    """

    def __init__(self, binary: Tool, arguments: Sequence[str], contents: Mapping[MemoryShape, Sequence[int]]):
        self._folder = tempfile.TemporaryDirectory(prefix="firstspike-")
        self.folder = Path(self._folder.name)
        for shape, words in contents.items():
            (self.folder / f"{shape.name}.hex").write_text(hex_image(list(words), shape))
        self._process = subprocess.Popen([*binary.command, *arguments], cwd=self.folder, stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE)

    def ask(self, command: bytes, answer: struct.Struct) -> tuple[int, ...]:
        """Send a command; the numbers of the answer."""
        pipe = self._process.stdin
        assert pipe
        try:
            pipe.write(command)
            pipe.flush()
        except (BrokenPipeError, ValueError):
            raise ToolError("the simulated board ended") from None
        head = self.read(answer.size)
        if len(head) != answer.size:
            raise ToolError("the simulated board ended")
        return answer.unpack(head)

    def read(self, count: int) -> bytes:
        """Octets that come with an answer."""
        pipe = self._process.stdout
        assert pipe
        return pipe.read(count)

    def close(self) -> None:
        """End the process and remove its folder."""
        if self._process.poll() is None:
            assert self._process.stdin and self._process.stdout
            self._process.stdin.close()
            self._process.wait(10)
            self._process.stdout.close()
        self._folder.cleanup()
