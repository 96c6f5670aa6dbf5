# SPDX-License-Identifier: MIT
"""Native Verilator backend: runs the exported Verilog, compiled and driven by a C++ loop."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from firstspike_arch.backend import Stimulus, Trace
from firstspike_arch.program import Program, status_addresses
from firstspike_arch.result import result_layout, scores_from_raw
from firstspike_arch.status import STATUS_CYCLES
from firstspike_arch.work import quiet_cycles
from firstspike_hw.accelerator import Accelerator
from firstspike_hw.toolchain import Tool, find_tool
from firstspike_hw.verilog import verilog
from firstspike_hw.verilog_files import hex_image, image_file, top_of

from ..stimulus import cycle_limit
from .native_build import NATIVE, build_simulator

__all__ = ["VerilatorBackend"]

_INTEGERS = np.dtype("<i8")


class VerilatorBackend:
    """Runs the Verilog of a program in Verilator; builds are kept in the `build_cache`.

    Parameters
    ----------
    waves : Path or None
        File for an FST waveform of each run; None: none.
    optimise : bool
        Optimise the compiled code; False is faster for short runs, whose time is mostly compilation.
    """

    name = "verilator"

    def __init__(self, *, waves: Path | None = None, optimise: bool = True):
        self._waves, self._optimise = waves, optimise
        self._program: Program | None = None
        self.cycles_per_second = 0.0

    def load(self, program: Program, text: str | None = None) -> None:
        """Build the simulator; ``text`` is Verilog already exported for this program.

        Raises
        ------
        ToolError
            Verilator or the C++ compiler is missing or failed.
        """
        find_tool("verilator")  # before the work to export
        text = text or verilog(Accelerator(program), program.memories())
        self._binary = _build(program, text, waves=self._waves is not None, optimise=self._optimise)
        self._program, self._top = program, top_of(text)

    def run(self, stimulus: Stimulus, *, images: np.ndarray | None = None, limit: int | None = None) -> Trace:
        """Run a stimulus from reset; ``images`` (`Program.port_words`) are loaded through the program port first.

        Raises
        ------
        RuntimeError
            Nothing is loaded.
        ToolError
            The run does not end within ``limit`` cycles (None: `cycle_limit`), or the simulator failed.
        """
        program = self._program
        if program is None:
            raise RuntimeError("load a program first")
        count = stimulus.results
        zeros = np.zeros(len(stimulus.words), dtype=_INTEGERS)
        gaps = zeros if stimulus.gaps is None else stimulus.gaps
        stalls = np.zeros(count, dtype=_INTEGERS) if stimulus.sink_stalls is None else stimulus.sink_stalls
        limit = cycle_limit(program, stimulus) if limit is None else limit
        with tempfile.TemporaryDirectory(prefix="firstspike-") as folder_name:
            folder = Path(folder_name)
            contents = program.images() if images is None else {}
            for shape in program.memories():
                words = contents.get(shape.name, [0] * shape.depth)
                (folder / image_file(shape, self._top)).write_text(hex_image(words, shape))
            for name, values in (
                ("words", stimulus.words), ("gaps", gaps), ("stalls", stalls),
                ("images", [] if images is None else images),
            ):
                np.asarray(values).astype(np.uint64 if name in ("words", "images") else _INTEGERS).tofile(
                    folder / f"{name}.bin")
            if program.external:
                _write_memory(folder, program, stimulus)
            printed = self._binary.run([str(limit), str(quiet_cycles(program, stimulus.memory))], folder=folder)
            cycles, seconds = printed.split()[-2:]
            self.cycles_per_second = int(cycles) / float(seconds)
            if self._waves is not None:
                shutil.move(folder / "wave.fst", self._waves)
            return self._trace(program, folder, count)

    def run_many(
        self, stimuli: Iterable[Stimulus], processes: int | None = None, done: Callable[[], None] = lambda: None,
    ) -> list[Trace]:
        """Run each stimulus from reset, several at a time, from when the iterable has it; ``processes`` None: one for
        each CPU. ``done`` is called after each, by any thread."""
        def run(stimulus: Stimulus) -> Trace:
            trace = self.run(stimulus)
            done()
            return trace

        with ThreadPoolExecutor(processes or os.cpu_count()) as pool:
            return list(pool.map(run, stimuli))

    def _trace(self, program: Program, folder: Path, count: int) -> Trace:
        layout = result_layout(program)

        def read(name: str) -> np.ndarray:
            return np.fromfile(folder / f"{name}.bin", dtype=_INTEGERS)

        words = np.fromfile(folder / "results.bin", dtype=_INTEGERS).astype(np.uint32).reshape(count, -1)
        fields = [layout.unpack(int.from_bytes(row.tobytes(), "little")) for row in words]
        steps = np.array([field[1] for field in fields])
        raw = np.array([field[3] for field in fields])
        edges = [layout.one_by_one(read(f"tokens{index}"), read(f"cycles{index}"))
                 for index, layout in enumerate(program.edge_layouts)]
        return Trace(
            accepted=read("accepted"), classes=np.array([field[0] for field in fields]), steps=steps,
            decided_by=np.array([field[2] for field in fields]), scores=scores_from_raw(program, raw, steps),
            decided=read("decided"), taken=read("taken"), edge_tokens=tuple(tokens for tokens, _ in edges),
            edge_cycles=tuple(cycles for _, cycles in edges),
            counters=dict(zip((*status_addresses(program), *(("beats",) * bool(program.external))),
                              read("counters").tolist(), strict=True)),
        )


def _write_memory(folder: Path, program: Program, stimulus: Stimulus) -> None:
    """Write contents and waits of the external memory."""
    image, timing = program.external_image().contents, stimulus.memory
    (folder / "memory.bin").write_bytes(image + bytes(-len(image) % 8))
    for name, values in (("latency", timing.latency), ("beat_gaps", timing.gaps), ("request_stalls", timing.stalls)):
        np.asarray(values).astype(_INTEGERS).tofile(folder / f"{name}.bin")


def _build(program: Program, text: str, **options: bool) -> Tool:
    """Build the simulator of an accelerator's Verilog, whose edges the C++ loop can read."""
    edges, top = range(len(program.network.edges())), top_of(text)
    root = f"top.rootp->{top}__DOT__"
    seen = " ".join(f"see({i}, {root}edge{i}_valid, {root}edge{i}_ready, {root}edge{i}_payload)" for i in edges)
    header = (
        f"#define EDGES {len(edges)}\n#define RESULT_WORDS {-(-result_layout(program).bits // 32)}\n"
        f"#define COUNTER_ADDRESSES {', '.join(map(str, status_addresses(program).values()))}\n"
        f"#define STATUS_CYCLES {STATUS_CYCLES}\n#define READ_EDGES(see) {seen}\n"
        f"#define BEAT_BITS {program.config.beat_bits if program.external else 0}\n"
    )
    # A file for Verilator makes the edges visible, so that the Verilog is unchanged: what is simulated is what is
    # shipped.
    visible = "`verilator_config\n" + "".join(
        f'public_flat_rd -module "{top}" -var "edge{index}_{part}"\n'
        for index in edges for part in ("valid", "ready", "payload")
    )
    driver = (NATIVE / "driver.cpp").read_text("utf-8")
    return build_simulator(text, {"edges.vlt": visible, "edges.h": header, "driver.cpp": driver}, top=top, **options)
