# SPDX-License-Identifier: MIT
"""Waveforms of a simulated accelerator: values by clock cycle, membranes of a layer, and a view for GTKWave."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from firstspike_arch.core_spec import CoreSpec
from firstspike_arch.program import Program
from firstspike_hw.toolchain import ToolError
from vcd.gtkw import GTKWSave

__all__ = ["Captured", "Waveform", "captured_membranes", "view_file"]

RESET_CYCLES = 2
"""Clock cycles before cycle 0, see ``driver.cpp``, which writes the state before and behind each edge."""

CORE_SIGNALS = ("busy", "capture__valid", "capture__row", "capture__spikes", "capture__final", "membranes_value")
PORT_SIGNALS = ("source_valid", "source_ready", "source_payload", "result_valid", "result_ready", "result_payload")


class Captured(NamedTuple):
    """A membrane as the hardware captured it: v − theta at the end of a step, before the reset."""

    inference: int
    step: int
    cycle: int
    value: int


@dataclass(frozen=True, eq=False)
class Waveform:
    """Waveform of a run of `VerilatorBackend` without program-port words.

    Parameters
    ----------
    path : Path
        File in FST or VCD.
    top : str
        Name of the top module.

    Raises
    ------
    ToolError
        pywellen is not installed.
    """

    path: Path
    top: str

    def __post_init__(self) -> None:
        try:
            from pywellen import Waveform as Reader  # pyright: ignore[reportAttributeAccessIssue]
        except ImportError:
            raise ToolError("pywellen must be installed to read waveforms: pip install 'firstspike[waves]'") from None
        reader = Reader(str(self.path))
        prefix = f"TOP.{self.top}."
        object.__setattr__(self, "_variables", {
            one.full_name.removeprefix(prefix): one for one in reader.all_vars() if one.full_name.startswith(prefix)})
        object.__setattr__(self, "_reader", reader)  # the variables are its own

    def width(self, name: str) -> int | None:
        """Bits of a signal, such as ``core0.busy``; None: there is none of this name."""
        one = self._variables.get(name)  # pyright: ignore[reportAttributeAccessIssue]
        return None if one is None else one.bitwidth or 1

    def values(self, name: str, cycles: int) -> list[int]:
        """Value of a signal in cycles 0 … ``cycles`` − 1, as it is at the edge that ends them."""
        changes = list(self._variables[name].tv)  # pyright: ignore[reportAttributeAccessIssue]
        times = 2 * (RESET_CYCLES + np.arange(cycles))
        places = np.searchsorted([time for time, _ in changes], times, side="right") - 1
        return [int(changes[place][1]) if place >= 0 else 0 for place in places.tolist()]


def captured_membranes(wave: Waveform, core: CoreSpec, neuron: int, cycles: int) -> list[Captured]:
    """Read a neuron's membrane whenever the core captures the spikes of its row, from the signals of the hardware.

    Steps that an early exit drops have no captures, so that those behind it are numbered too low. Where rows are
    skipped, a step that does not reach the neuron has none.
    """
    plan, name = core.plan, f"core{core.index}"
    row, element = (int(place[0]) for place in np.nonzero(plan.neurons_of_rows() == neuron))
    bank, lane = divmod(element, plan.lanes)
    stored = f"{name}.membranes.value" if plan.bank_count == 1 else f"{name}.membranes_bank{bank}.value"
    valid, last, final, membranes = (wave.values(one, cycles) for one in (
        f"{name}.capture__valid", f"{name}.capture__last", f"{name}.capture__final", stored))
    rows = wave.values(f"{name}.capture__row", cycles) if plan.rows > 1 else [0] * cycles
    found, inference, step, bits = [], 0, 0, plan.membrane_bits
    for cycle in np.flatnonzero(valid).tolist():
        if rows[cycle] == row:
            stored_bits = membranes[cycle] >> lane * bits & (1 << bits) - 1
            found.append(Captured(inference, step, cycle, stored_bits - ((stored_bits >> bits - 1) << bits)))
        if last[cycle]:
            inference, step = (inference + 1, 0) if final[cycle] else (inference, step + 1)
    return found


def view_file(wave: Waveform, program: Program, path: Path, *, cycle: int) -> str:
    """Return a view for GTKWave: the ports, and the streams, captures and membranes of each layer in groups named for
    it, with the marker at ``cycle``; ``path`` is where it will be, so that both files can be moved together."""
    buffer = io.StringIO()
    view = GTKWSave(buffer)
    view.dumpfile(str(wave.path.resolve()))
    view.savefile(str(path.resolve()))
    view.zoom_markers(-4.0, 2 * (RESET_CYCLES + cycle))
    for title, names in _groups(program):
        shown = [name for name in names if wave.width(name) is not None]
        with view.group(title):
            for name in shown:
                width = wave.width(name) or 1
                view.trace(f"TOP.{wave.top}.{name}" + (f"[{width - 1}:0]" if width > 1 else ""))
    return buffer.getvalue()


def _groups(program: Program) -> Iterator[tuple[str, list[str]]]:
    yield "ports", ["clk", "rst", *PORT_SIGNALS]
    for core in program.cores:
        streams = [f"events{number}__{part}" for number in range(len(core.inputs)) for part in (
            "valid", "ready", "payload")]
        yield f"core {core.index}: {core.layer.name}", [
            f"core{core.index}.{name}" for name in (*streams, *CORE_SIGNALS)]
