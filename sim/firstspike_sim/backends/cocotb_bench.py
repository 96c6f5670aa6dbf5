# SPDX-License-Identifier: MIT
"""cocotb backend: runs the exported Verilog under Verilator or Icarus, driven cycle by cycle by a bench in Python."""

import tempfile
from pathlib import Path

import numpy as np
from firstspike_arch.backend import Stimulus, Trace
from firstspike_arch.program import Program
from firstspike_arch.result import result_layout, scores_from_raw
from firstspike_arch.work import quiet_cycles
from firstspike_hw.accelerator import Accelerator
from firstspike_hw.verilog import verilog
from firstspike_hw.verilog_files import TOP, hex_image

from ..stimulus import cycle_limit
from .cocotb_run import run_bench

__all__ = ["CocotbBackend"]


class CocotbBackend:
    """Runs the Verilog of a program under cocotb: slower than `VerilatorBackend`, but in a choice of simulators.

    Parameters
    ----------
    simulator : "verilator" or "icarus"
    reset_at : int
        Number of cycles after which the accelerator is reset once and the stimulus starts again; 0: no reset.
    optimise : bool
        Optimise the compiled code; False is faster for short runs, whose time is mostly compilation.
    """

    name = "cocotb"
    cycles_per_second: float
    """Simulated cycles per second of the last run, without the build."""

    def __init__(self, *, simulator: str = "verilator", reset_at: int = 0, optimise: bool = True):
        self._simulator, self._reset_at, self._optimise = simulator, reset_at, optimise
        self._program: Program | None = None

    def load(self, program: Program) -> None:
        """Set the program for the next runs; `run` builds it.

        Raises
        ------
        ValueError
            Layers have their weights in an external memory, which this bench has none of.
        """
        if program.external:
            raise ValueError("external must be off in the cocotb bench, which has no external memory; the backends "
                             "verilator and pysim have one")
        self._program = program

    def run(self, stimulus: Stimulus, *, limit: int | None = None) -> Trace:
        """Run a stimulus from reset.

        Raises
        ------
        RuntimeError
            Nothing is loaded.
        ToolError
            The simulator is missing, or the bench ended without a trace.
        """
        program = self._program
        if program is None:
            raise RuntimeError("load a program first")
        layout = result_layout(program)
        count = stimulus.results
        with tempfile.TemporaryDirectory(prefix="firstspike-") as name:
            folder = Path(name)
            source = folder / f"{TOP}.v"
            source.write_text(verilog(Accelerator(program), program.memories()))
            images = program.images()
            for shape in program.memories():
                (folder / f"{shape.name}.hex").write_text(hex_image(images[shape.name], shape))
            zeros = np.zeros(len(stimulus.words), dtype=np.int64)
            np.savez(
                folder / "stimulus.npz", words=stimulus.words, gaps=zeros if stimulus.gaps is None else stimulus.gaps,
                stalls=np.zeros(count, dtype=np.int64) if stimulus.sink_stalls is None else stimulus.sink_stalls,
                edges=len(program.network.edges()), reset_at=self._reset_at,
                limit=limit or cycle_limit(program, stimulus), drain=quiet_cycles(program),
                result_digits=-(-layout.bits // 4),
            )
            trace = run_bench(
                folder, self._simulator, "firstspike_sim.backends.benches.bench_accelerator", "trace.npz",
                optimise=self._optimise,
            )
            seen = np.load(trace, allow_pickle=False)
            self.cycles_per_second = float(seen["cycles_per_second"])
            fields = [layout.unpack(int(word, 16)) for word in seen["results"].tolist()]
            steps = np.array([field[1] for field in fields])
            edges = [layout.one_by_one(*seen[f"edge{index}"].T) for index, layout in enumerate(program.edge_layouts)]
            return Trace(
                accepted=seen["accepted"], classes=np.array([field[0] for field in fields]), steps=steps,
                decided_by=np.array([field[2] for field in fields]),
                scores=scores_from_raw(program, np.array([field[3] for field in fields]), steps),
                decided=seen["decided"], taken=seen["taken"], edge_tokens=tuple(tokens for tokens, _ in edges),
                edge_cycles=tuple(cycles for _, cycles in edges),
            )
