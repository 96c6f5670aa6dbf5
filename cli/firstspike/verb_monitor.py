# SPDX-License-Identifier: MIT
"""firstspike monitor [FOLDER] --port PORT"""

import itertools
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING, Annotated

import typer
from firstspike_arch.backend import DecidedBy
from firstspike_arch.status import COUNTER_BITS, PARITY_ADDRESSES
from firstspike_hw.link.frames import LINK_COUNTERS, NO_PROGRAM, Capability, Identity
from rich.bar import Bar
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from .build_folder import read_build
from .options import Baud, Port, Split, Timeout, load_for

if TYPE_CHECKING:
    from firstspike_boards.link import Link

RASTER = 60
"""Number of decisions in the raster."""

BAR = 40
"""Width of a score's bar in columns."""

CLASSES = 16
"""Largest number of classes that all have a row. Of more, only those with the best scores or a decision have one."""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """The outcome of one inference, or of a window of an endless network. ``label`` is None if it is not known."""

    index: int
    window: int | None = None
    class_: int
    step: int
    decided_by: DecidedBy
    cycles: int
    scores: Sequence[int]
    label: int | None


def monitor(
    port: Port,
    build: Annotated[Path | None, typer.Argument(
        help="Build folder of the network: for a simulated board, or with --data.")] = None,
    data: Annotated[str | None, typer.Option(
        help="Run these inputs on the device, one at each refresh: digits, mnist, a .npy file, …")] = None,
    split: Split = "test",
    interval: Annotated[float, typer.Option(min=0, help="Seconds between refreshes.")] = 0.5,
    count: Annotated[int | None, typer.Option(min=1, help="Number of refreshes; default: until Ctrl-C.")] = None,
    baud: Baud = 1_000_000, timeout: Timeout = 1.0,
) -> None:
    """Watch a board live: its identity, its counters and, with --data, its decisions."""
    from firstspike_boards.driver import WireBackend
    from firstspike_sim.stimulus import make_stimulus

    from . import api

    program = None if build is None else read_build(build)[0]
    inputs, labels = None, None
    if data is not None:
        if program is None:
            raise ValueError("a build must be given with --data: it defines the inputs that the device takes")
        inputs, labels = load_for(program.network, data, split)
    backend = WireBackend(api.open_link(program, port, baud=baud, timeout=timeout))
    decisions: deque[Decision] = deque(maxlen=RASTER)
    try:
        if program is not None and inputs is not None:
            backend.load(program)
        before, now = None, backend.counters()
        console = Console(highlight=False)
        with suppress(KeyboardInterrupt), Live(console=console, auto_refresh=False) as live:
            for turn in range(count) if count else itertools.count():
                if turn:
                    sleep(interval)
                    before, now = now, backend.counters()
                if program is not None and inputs is not None:
                    index = turn % len(inputs)
                    trace = backend.run(make_stimulus(program, inputs[index:index + 1]))
                    decisions.extend(Decision(
                        index=index, window=result if program.network.endless else None,
                        class_=int(trace.classes[result]), step=int(trace.steps[result]),
                        decided_by=DecidedBy(int(trace.decided_by[result])), cycles=int(trace.decided[result]) + 1,
                        scores=trace.scores[result].tolist(), label=None if labels is None else int(labels[index]),
                    ) for result in range(len(trace.classes)))
                    now = trace.counters
                live.update(view(backend.link, now, before, decisions), refresh=True)
        if not console.is_terminal:
            console.line()  # the last line shown has no newline
    finally:
        backend.link.close()


def view(
    link: "Link", now: Mapping[str, int], before: Mapping[str, int] | None, decisions: Sequence[Decision],
) -> RenderableType:
    """Render the device's identity, its counters (``now`` and at the refresh ``before``), and its last decisions."""
    parts: list[RenderableType] = [_identity(link.identity), _counters(link, now, before)]
    if decisions:
        parts += [_evidence(decisions[-1]), _raster(decisions, link.identity.classes)]
    return Group(*parts)


def _identity(identity: Identity) -> RenderableType:
    loaded = "no program" if identity.program == NO_PROGRAM else f"program {identity.program}"
    able = [one.name.lower().replace("_", "-") for one in Capability if identity.capabilities & one and one.name]
    clock = [f"{identity.clk_hz / 1e6:g} MHz"] if identity.clk_hz else []
    facts = [f"{identity.inputs} inputs", f"{identity.classes} classes", *clock,
             f"buffer of {identity.buffer_bytes} bytes", *able]
    return Text.assemble((identity.name, "bold"), f": {loaded}, architecture {identity.architecture}\n",
                         ", ".join(facts), "\n")


def _counters(link: "Link", now: Mapping[str, int], before: Mapping[str, int] | None) -> RenderableType:
    table = Table("counter", "value", "since the last refresh", box=None, padding=(0, 2, 0, 0))
    for name, value in now.items():
        bits = 16 if name in LINK_COUNTERS else COUNTER_BITS
        more = "" if before is None else f"+{(value - before[name]) % (1 << bits)}"
        # These counters count errors.
        bad = value and name in ("bad_address", "overrun", "cut", "corrupt", "overflow", "faults",
                                 *PARITY_ADDRESSES)
        table.add_row(name, str(value), more, style="red" if bad else "")
    table.add_row("sent again", str(link.resent), style="yellow" if link.resent else "")
    table.add_row("unreadable", str(link.unreadable), style="yellow" if link.unreadable else "")
    return table


def _evidence(last: Decision) -> RenderableType:
    wrong = last.label is not None and last.label != last.class_
    label = f" (label {last.label})" if last.label is not None else ""
    window = "" if last.window is None else f", window {last.window}"
    title = Text(f"input {last.index}{window}: class {last.class_}{label} at step {last.step}, {last.cycles} cycles, "
                 f"{last.decided_by.name.lower().replace('_', ' ')}", style="bold red" if wrong else "bold green")
    low, high = min(0, *last.scores), max(0, *last.scores)
    table = Table.grid(padding=(0, 2))
    best = sorted(range(len(last.scores)), key=lambda class_: (class_ != last.class_, -last.scores[class_]))
    for class_ in sorted(best[:CLASSES]):
        score = last.scores[class_]
        bar = Bar(max(1, high - low), min(0, score) - low, max(0, score) - low, width=BAR)
        table.add_row(str(class_), str(score), bar, style="bold" if class_ == last.class_ else "")
    return Group(title, table)


def _raster(decisions: Sequence[Decision], classes: int) -> RenderableType:
    """Draw a row for each class and a column for each decision, the last one rightmost."""
    lines = Text(f"the last {len(decisions)} decisions\n")
    for class_ in range(classes) if classes <= CLASSES else sorted({one.class_ for one in decisions}):
        lines.append(f"{class_:>4} ")
        for one in decisions:
            wrong = one.label is not None and one.label != one.class_
            lines.append("█" if one.class_ == class_ else "·", style="red" if wrong else "")
        lines.append("\n")
    known = [one for one in decisions if one.label is not None]
    if known:
        lines.append(f"{sum(one.label == one.class_ for one in known)} of {len(known)} right")
    return lines
