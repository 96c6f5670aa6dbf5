# SPDX-License-Identifier: MIT
"""Runs inferences with a bit of the hardware's state flipped, in Verilator: one upset from each reset."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import numpy as np
from firstspike_arch.backend import Stimulus
from firstspike_arch.program import Program
from firstspike_arch.result import result_layout
from firstspike_arch.status import PARITY_ADDRESSES
from firstspike_hw.toolchain import find_tool
from firstspike_hw.verilog_files import hex_image, image_file, top_of

from .native_build import NATIVE, build_simulator
from .state_elements import StateElement, public_state, state_elements

__all__ = ["NO_UPSET", "Recovery", "Upset", "UpsetBench", "UpsetRuns"]

_HEAD = 3  # numbers of a run before its results


class Recovery(IntEnum):
    """What it took to have the next inference right, after results were missing."""

    NOT_NEEDED = 0
    BY_RESTART = 1
    BY_RESET = 2
    NONE = 3


@dataclass(frozen=True, kw_only=True)
class Upset:
    """One bit that is flipped.

    Parameters
    ----------
    inputs : int
        Number of the stimulus that runs.
    element : int
        Index in `UpsetBench.elements`; -1: nothing is flipped.
    word, bit : int
    cycle : int
        The bit is flipped behind the edge with which this cycle begins; cycle 0 is the first one after reset.
    """

    inputs: int
    element: int
    word: int
    bit: int
    cycle: int


NO_UPSET = -1


@dataclass(frozen=True, kw_only=True, eq=False)
class UpsetRuns:
    """What U runs of R inferences each gave.

    Parameters
    ----------
    results : int64[U]
        Number of results that came; at most R are in the arrays.
    decided : int64[U, R]
        Cycle of each result; -1: it did not come within the limit.
    words : uint32[U, R, W]
        Result words (`ResultLayout`); 0 where none came.
    recovery : int64[U]
        `Recovery`.
    mismatches : int64[U]
        Counter of words that did not fit their parity, at the end of the run; 0 where memories carry none.
    """

    results: np.ndarray
    decided: np.ndarray
    words: np.ndarray
    recovery: np.ndarray
    mismatches: np.ndarray


class UpsetBench:
    """The Verilog of a program, whose state can be changed from outside.

    A result is taken as soon as it is offered, and input words are offered without gaps.

    Parameters
    ----------
    program : Program
    text : str
        Its Verilog.
    stimuli : sequence of Stimulus
        Inferences that run back to back, equally many in each.
    limits : sequence of int
        Cycles after which a run of each stimulus is given up.
    quiet : int
        Cycles that a run goes on behind its last result, for results that should not be; and that pass between a
        restart and the next inference.

    Raises
    ------
    ValueError
        Weights are in an external memory, which this bench has none of; or the network is endless.
    ToolError
        Verilator or the C++ compiler is missing or failed.
    """

    def __init__(self, program: Program, text: str, stimuli: Sequence[Stimulus], limits: Sequence[int], *, quiet: int):
        if program.external or program.network.endless:
            what = "external weights" if program.external else "endless networks"
            raise ValueError(f"{program.network.name}: upsets must be of a network with its weights on the chip, which "
                             f"ends, not of {what}")
        find_tool("verilator")
        self.elements: list[StateElement] = state_elements(text)
        self._program, self._stimuli, self._limits, self._quiet = program, stimuli, limits, quiet
        self._top = top_of(text)
        self._words = -(-result_layout(program).bits // 32)
        cases = " ".join(
            f"case {number}: flip(root->{one.member}{'[word]' if one.depth > 1 else ''}, bit); break;"
            for number, one in enumerate(self.elements))
        address = PARITY_ADDRESSES["parity_errors"] if program.has_parity else -1
        header = (f"#define RESULT_WORDS {self._words}\n#define PARITY_ADDRESS {address}\n"
                  f"#define FLIP_CASES {cases}\n")
        driver = (NATIVE / "upsets.cpp").read_text()
        self._binary = build_simulator(public_state(text), {"state.h": header, "upsets.cpp": driver}, top=self._top)

    def run(self, upsets: Sequence[Upset]) -> UpsetRuns:
        """Run each upset's stimulus from reset, with the program's images in the memories.

        Raises
        ------
        ToolError
            The simulator failed.
        """
        count = self._stimuli[0].results
        words = np.concatenate([one.words for one in self._stimuli])
        offsets = np.cumsum([0, *(len(one.words) for one in self._stimuli)])
        sets = [[start, start + one.starts[-1], start + one.starts[1], limit]
                for start, one, limit in zip(offsets, self._stimuli, self._limits, strict=False)]
        trials = [[one.inputs, one.element, one.word, one.bit, one.cycle] for one in upsets]
        with tempfile.TemporaryDirectory(prefix="firstspike-") as name:
            folder = Path(name)
            images = self._program.images()
            for shape in self._program.memories():
                (folder / image_file(shape, self._top)).write_text(hex_image(images[shape.name], shape))
            for file, values, kind in (("words", words, np.uint64), ("sets", sets, np.int64),
                                       ("trials", trials, np.int64)):
                np.asarray(values).astype(kind).tofile(folder / f"{file}.bin")
            self._binary.run([str(count), str(self._quiet)], folder=folder)
            seen = np.fromfile(folder / "seen.bin", dtype=np.int64).reshape(len(upsets), -1)
        return UpsetRuns(results=seen[:, 0], recovery=seen[:, 1], mismatches=seen[:, 2],
                         decided=seen[:, _HEAD : _HEAD + count],
                         words=seen[:, _HEAD + count :].reshape(len(upsets), count, -1).astype(np.uint32))
