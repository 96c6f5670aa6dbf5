# SPDX-License-Identifier: MIT
"""The slowest paths of a placed and routed design, unit by unit, from the delays that the placer wrote as SDF.

The placer's own report has the slowest path alone; what else is close to it tells what to mend next.

Ref: IEEE 1497, Standard Delay Format.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

__all__ = ["TimingPath", "slowest_paths"]

_TOKEN = re.compile(
    r"\(CELLTYPE \"[^\"]*\"\)\s*\(INSTANCE ?(?P<cell>[^)]*)\)"
    r"|\((?P<arc>INTERCONNECT|IOPATH) (?P<from>\S+) (?P<to>\S+) (?P<delays>[^()]*\([^()]*\)(?: \([^()]*\))?)"
    r"|\(SETUPHOLD \((?:posedge|negedge) (?P<pin>\S+)\) \((?:posedge|negedge) (?P<clock>\S+)\) (?P<setup>\([^()]*\))")


@dataclass(frozen=True, kw_only=True)
class TimingPath:
    """The slowest path between registers of two units.

    Parameters
    ----------
    begin, end : str
        Units of the two registers.
    cells : tuple of str
        Cells on the way, both registers included.
    nanoseconds : float
        From one edge of the clock to the next, clock-to-output delay and set-up time included.
    """

    begin: str
    end: str
    cells: tuple[str, ...]
    nanoseconds: float


def slowest_paths(sdf: str, units: Iterable[str]) -> list[TimingPath]:
    """Return the slowest path of each pair of units, the slowest first.

    Parameters
    ----------
    sdf : str
        Delays of cells and wires, as nextpnr writes them for a design with one clock.
    units : iterable of str
        Hierarchical names of the design's modules. A cell belongs to the module with the longest name that begins the
        cell's own name, and else to the top.
    """
    edges: dict[str, list[tuple[str, int]]] = {}
    begins: dict[str, int] = {}
    ends: dict[str, int] = {}
    arcs: list[tuple[str, str, int]] = []
    clocks: set[str] = set()
    for kind, source, target, delay in _arcs(sdf):
        if kind == "setup":
            ends[target], clocks = max(delay, ends.get(target, 0)), clocks | {source}
        else:
            arcs.append((source, target, delay))
    for source, target, delay in arcs:
        if source in clocks:
            begins[target] = max(delay, begins.get(target, 0))
        elif target not in clocks:
            edges.setdefault(source, []).append((target, delay))
    arrival, before = _arrivals(edges, begins)
    names, found = sorted(units, key=len, reverse=True), {}
    for pin, setup in ends.items():
        if pin in arrival:
            pins = [pin]
            while pins[-1] in before:
                pins.append(before[pins[-1]])
            cells = tuple(dict.fromkeys(_cell(one) for one in reversed(pins)))
            begin, end = (next((name for name in names if cell.startswith(f"{name}.")), "top")
                          for cell in (cells[0], cells[-1]))
            path = TimingPath(begin=begin, end=end, cells=cells, nanoseconds=(arrival[pin] + setup) / 1000)
            if (begin, end) not in found or found[begin, end].nanoseconds < path.nanoseconds:
                found[begin, end] = path
    return sorted(found.values(), key=lambda path: -path.nanoseconds)


def _arcs(sdf: str) -> Iterator[tuple[str, str, str, int]]:
    """Yield each arc, as its kind, both pins and the delay in picoseconds; of a "setup", the first pin is the clock's.
    """
    cell = ""
    for match in _TOKEN.finditer(sdf):
        if match["arc"] is None and match["pin"] is None:
            cell = match["cell"]
        elif match["arc"] == "INTERCONNECT":
            yield "wire", match["from"], match["to"], _largest(match["delays"])
        elif match["arc"]:
            yield "cell", f"{cell}/{match['from']}", f"{cell}/{match['to']}", _largest(match["delays"])
        else:
            yield "setup", f"{cell}/{match['clock']}", f"{cell}/{match['pin']}", _largest(match["setup"])


def _largest(delays: str) -> int:
    return max(int(number) for number in re.findall(r"-?\d+", delays))


def _cell(pin: str) -> str:
    return pin.rpartition("/")[0].replace("\\", "")


def _arrivals(
    edges: dict[str, list[tuple[str, int]]], begins: dict[str, int],
) -> tuple[dict[str, int], dict[str, str]]:
    """Return the latest arrival at each pin in picoseconds, and the pin before it."""
    waiting: dict[str, int] = {}
    seen, stack = set(begins), list(begins)
    while stack:
        for target, _ in edges.get(stack.pop(), ()):
            waiting[target] = waiting.get(target, 0) + 1
            if target not in seen:
                seen.add(target)
                stack.append(target)
    arrival, before = dict(begins), {}
    stack = [pin for pin in begins if not waiting.get(pin)]
    while stack:
        pin = stack.pop()
        for target, delay in edges.get(pin, ()):
            if arrival[pin] + delay >= arrival.get(target, 0):
                arrival[target], before[target] = arrival[pin] + delay, pin
            waiting[target] -= 1
            if not waiting[target]:
                stack.append(target)
    return arrival, before
