# SPDX-License-Identifier: MIT
"""The Python API: load → compile → infer → simulate → verify → export. Inputs and results are arrays."""

from collections.abc import Callable, Iterator
from pathlib import Path

from firstspike_arch.backend import IDEAL_MEMORY, MemoryTiming, Stimulus, Trace
from firstspike_arch.checkpoint import save_network
from firstspike_arch.float_network import FloatNetwork
from firstspike_arch.network import IntegerNetwork
from firstspike_arch.program import Program
from firstspike_arch.real_network import real_network
from firstspike_arch.shown import shown
from firstspike_boards.driver import WireBackend
from firstspike_boards.link import Link
from firstspike_boards.serial_port import SerialPort
from firstspike_boards.spi_device import SpiDevice
from firstspike_boards.spi_port import SpiPort
from firstspike_compiler.compile import Compilation, compile_network
from firstspike_hw.accelerator import Accelerator
from firstspike_hw.verilog_files import TOP
from firstspike_sim.backends.pysim import PysimBackend
from firstspike_sim.backends.verilator import VerilatorBackend
from firstspike_sim.boards.simulated_board import SimulatedBoard
from firstspike_sim.boards.simulated_spi import SimulatedSpi
from firstspike_sim.inputs import check_inputs
from firstspike_sim.models.golden import GoldenModel, GoldenResult, Progress, unseen
from firstspike_sim.models.prediction import Prediction, predict_inputs

from .build_folder import read_build, write_build
from .event_counts import count_events
from .mapping import Mapping, map_to_device
from .network_file import load
from .quantising import Calibration, Quantised, calibrate, choose_bits, quantise_at
from .verification import Verification, judge, latencies, merge

__all__ = [
    "Calibration", "Mapping", "Quantised", "Verification", "calibrate", "choose_bits", "compile", "component",
    "connect", "count_events", "estimate", "export", "infer", "latencies", "load", "map_to_device",
    "open_build", "open_link", "quantise_at", "save", "simulate", "verify",
]


def save(network: FloatNetwork | IntegerNetwork, path: str | Path) -> None:
    """Write a checkpoint, which `load` and the commands read; an integer network is converted by `real_network`
    first."""
    save_network(path, real_network(network) if isinstance(network, IntegerNetwork) else network)


def compile(network: FloatNetwork | IntegerNetwork, **options) -> Compilation:
    """Quantise, prove, map and assemble a network; options as in `firstspike_compiler.compile.compile_network`."""
    return compile_network(network, **options)


def export(compilation: Compilation, folder: str | Path, *, name: str = TOP) -> dict:
    """Write the build folder (Verilog, images, manifest, …) and return the manifest.

    ``name`` is that of the top module, and begins the names of its parts and images; two builds with different names
    can be parts of one design. What else is in the folder stays there; see `write_build`.
    """
    return write_build(compilation, folder, name=name)


def component(program: Program) -> Accelerator:
    """Make the accelerator a component for a design of one's own in Amaranth, its weights the initial contents of its
    memories: ``m.submodules.snn = fs.component(program)``. Its members are those of `Accelerator`.
    """
    return Accelerator(program, program.images())


def open_build(folder: str | Path) -> Program:
    """Check the files of a build folder and return its program."""
    return read_build(folder)[0]


def infer(program: Program, inputs) -> GoldenResult:
    """Compute classes, evidence and spikes by the golden model, without cycles (`estimate` has both).

    Inputs are as in `GoldenModel.run`: NumPy arrays, torch tensors or lists.
    """
    return GoldenModel(program.network).run(inputs)


def estimate(program: Program, inputs, *, memory: MemoryTiming = IDEAL_MEMORY) -> Trace:
    """Predict every value and cycle of inferences back to back, by golden and timing model, without the hardware;
    ``memory`` says when an external memory answers."""
    return predict_inputs(program, inputs, memory=memory).trace


def simulate(program: Program, inputs, *, backend: str = "verilator", waves: Path | None = None) -> Trace:
    """Simulate the hardware on the inputs, back to back."""
    runner = backend_of(backend, waves)
    runner.load(program)
    return runner.run(predict_inputs(program, inputs).stimulus)


def connect(
    program: Program, port: str, *, baud: int = 1_000_000, timeout: float = 1.0,
    progress: Callable[[int, int], None] | None = None,
) -> WireBackend:
    """Connect to a board and load the program onto it.

    Parameters
    ----------
    port : str
        A serial port, spidev:BUS.DEVICE, or "simulated" or "simulated-spi" for a board in Verilator over UART or SPI.
    baud : int
        Bits per second on the wire; for SPI, the frequency of sck in Hz.
    timeout : float
        Seconds of silence after which a request is sent again.
    progress : callable
        Called as ``progress(answered, total)``, counts of requests.

    Raises
    ------
    ValueError
        The board was built for another network.
    OSError, ToolError
        There is no such port, nothing answers, or a tool is missing.
    """
    backend = WireBackend(open_link(program, port, baud=baud, timeout=timeout), progress=progress)
    try:
        backend.load(program)
    except BaseException:
        backend.link.close()
        raise
    return backend


def open_link(program: Program | None, port: str, *, baud: int = 1_000_000, timeout: float = 1.0) -> Link:
    """Open the host link to the board at a port, whatever program it holds, or to a board simulated with ``program``.

    Ports are as for `connect`.

    Raises
    ------
    ValueError
        The port is a simulated board, and there is no program.
    OSError, ToolError
        There is no such port, nothing answers, or a tool is missing.
    """
    def transport():
        if port not in ("simulated", "simulated-spi"):
            return SpiPort(SpiDevice(port, baud)) if port.startswith("spidev") else SerialPort(port, baud)
        if program is None:
            raise ValueError("a build must be given for a simulated board, which is made from it")
        if port == "simulated-spi":
            return SpiPort(SimulatedSpi(program, optimise=False))
        return SimulatedBoard(program, optimise=False)

    return Link(transport, timeout=timeout)


def verify(
    program: Program, inputs, *, backend: str = "verilator", run_size: int = 250, processes: int | None = None,
    waits: int | None = None, verilog: str | None = None, waves: Path | None = None, optimise: bool = True,
    progress: Progress = unseen,
) -> Verification:
    """Compare hardware with golden and timing model: every class, evidence, spike and cycle.

    Parameters
    ----------
    run_size : int
        Number of inferences that are run back to back after one reset. The runs are divided among the processes.
    processes : int or None
        Number of processes that simulate at a time in Verilator; None: one for each processor.
    waits : int or None
        Seed of random waits at both ports; None: no waits.
    verilog : str or None
        Verilog to simulate, such as that of a build folder; None: the program is exported again.
    waves : Path or None
        File for an FST waveform, of all inputs in one run, whatever ``run_size`` is; None: none.
    optimise : bool
        Optimise Verilator's compiled code; False is faster for few inferences of much Verilog, such as gates.
    progress : callable
        Called as ``progress(done, total)``, counts of runs: each is predicted, and then simulated.
    """
    inputs = check_inputs(program.network, inputs, some=True)
    runner = backend_of(backend, waves, optimise)
    run_size = run_size if waves is None else len(inputs)
    if verilog is not None and isinstance(runner, VerilatorBackend):
        runner.load(program, verilog)
    else:
        runner.load(program)
    predictions: list[Prediction] = []
    starts = range(0, len(inputs), run_size)
    steps: list[None] = []

    def done() -> None:
        steps.append(None)  # one thread at a time, as all that a list does
        progress(len(steps), 2 * len(starts))

    def stimuli() -> Iterator[Stimulus]:
        """Predict one run after the other; those before are being simulated meanwhile."""
        for start in starts:
            predictions.append(predict_inputs(
                program, inputs[start:start + run_size], waits=None if waits is None else waits + start))
            done()
            yield predictions[-1].stimulus

    def run(stimulus: Stimulus) -> Trace:
        trace = runner.run(stimulus)
        done()
        return trace

    traces = runner.run_many(stimuli(), processes, done) if isinstance(runner, VerilatorBackend) else [
        run(stimulus) for stimulus in stimuli()]
    judged = [judge(program, number * run_size, prediction, trace)
              for number, (prediction, trace) in enumerate(zip(predictions, traces, strict=True))]
    return merge(program, judged, predictions, traces)


def backend_of(name: str, waves: Path | None = None, optimise: bool = True) -> VerilatorBackend | PysimBackend:
    """Make the simulator of a name, with nothing loaded."""
    if name == "verilator":
        return VerilatorBackend(waves=waves, optimise=optimise)
    if name == "pysim":
        if waves is not None:
            raise ValueError("waves must be taken with backend 'verilator', not 'pysim'")
        return PysimBackend()
    raise ValueError(f"backend must be 'verilator' or 'pysim', not {shown(name)}")
