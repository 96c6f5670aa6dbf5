# SPDX-License-Identifier: MIT
"""What NIR files do not say: given by the user, or found in the numbers that known exporters write."""

# Ref: the exporters, read and run: snnTorch 1.0.0 export_nir.py, SpikingJelly 2.0.0 nir_exchange/to_nir.py,
# Norse 1.1.0 utils/export_nir.py, sinabs 3.1.3 nir.py, Rockpool 3.1.0 nn/modules/torch/nir.py

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from firstspike_arch.events import MAGNITUDE_MAX
from firstspike_arch.neuron import Reset
from firstspike_arch.shown import shown

from ..errors import CompileError
from .nir_graph import Graph, Node
from .nir_nodes import FIRING, HOLDING

__all__ = ["CLOSE", "Conventions", "CurrentRule", "LeakRule", "Settled", "Start", "settle"]

LeakRule = Literal["euler", "exponential"]
CurrentRule = Literal["rate", "jump", "decay"]
Start = Literal["zero", "reset"]

TINY = np.finfo(np.float64).tiny

CLOSE = 1e-5
"""Relative difference up to which numbers are the same; exporters compute in float32."""


@dataclass(frozen=True, kw_only=True)
class Conventions:
    """How the numbers of a NIR file are meant; the parameters are those of `load_nir`, None where not given."""

    reset: Reset
    strict: bool
    dt: float | None = None
    leak_rule: LeakRule | None = None
    gain: float | None = None
    reset_delay: bool | None = None
    current_rule: CurrentRule | None = None
    current_delay: bool | None = None
    levels: int | None = None
    v_min: float | None = None
    start: Start | None = None

    def __post_init__(self) -> None:
        def number(name: str, rule: str, low: float, high: float) -> None:
            value: Any = getattr(self, name)
            known = isinstance(value, int | float | np.number) and not isinstance(value, bool)
            if value is not None and not (known and np.isfinite(value) and low <= value <= high):
                raise CompileError(f"{name} must be {rule}, not {shown(value)}")

        if self.reset not in ("subtract", "zero"):
            raise CompileError(f"reset must be 'subtract' or 'zero', not {shown(self.reset)}")
        for name, kind in (("leak_rule", LeakRule), ("current_rule", CurrentRule), ("start", Start)):
            if getattr(self, name) not in (None, *get_args(kind)):
                raise CompileError(f"{name} must be {' or '.join(map(repr, get_args(kind)))}, not "
                                   f"{shown(getattr(self, name))}")
        number("dt", "a positive number of seconds", TINY, np.inf)
        number("gain", "a positive number", TINY, np.inf)
        number("v_min", "a number ≤ 0, where membranes start", -np.inf, 0)
        if self.levels is not None and self.levels not in range(1, MAGNITUDE_MAX + 1):
            raise CompileError(f"levels must be a whole number in 1 … {MAGNITUDE_MAX}, not {shown(self.levels)}")


@dataclass(frozen=True, kw_only=True)
class Settled:
    """Conventions of a graph.

    Parameters
    ----------
    said : Conventions
        Those given, and those that the file shows.
    notes : list of str
        What was found in the file and assumed, and what is given against it.
    added : bool
        All leaky neurons add their inputs as they are, r = tau / dt, as snnTorch's do.
    likely : str
        The dt that the file's numbers speak for, in words; "" if there is none, or if it is the one given.
    """

    said: Conventions
    notes: list[str]
    added: bool
    likely: str


@dataclass(frozen=True, kw_only=True)
class _Evidence:
    """The numbers of all neurons that have a say in how long a step is.

    Parameters
    ----------
    tau, r : float64[N]
        Different pairs of leaky neurons; r = 1 says nothing about dt.
    rates : float64[M]
        Different r of neurons that do not leak.
    endless : bool
        Some have an infinite tau and r, as snnTorch writes beta = 1.
    """

    tau: np.ndarray
    r: np.ndarray
    rates: np.ndarray
    endless: bool

    def added_as_they_are(self) -> float | None:
        """The dt with which every neuron does v = leak·v + x: r = tau / dt, and 1 / dt of IF."""
        says = self.r != 1
        found = _agreed([*(self.tau[says] / self.r[says]), *(1 / self.rates)])
        if found is None or (found > self.tau * (1 + CLOSE)).any():
            return None
        # Neurons of one kind may agree by chance, but then hardly on a power of ten, such as the defaults.
        alone = len(np.unique(self.tau[says])) < 2
        return None if alone and not (_round(found, "1") and found <= 1) else found

    def decayed(self) -> float | None:
        """The dt with which r = tau·exp(−dt/tau)/dt everywhere."""
        found = None if self.rates.size else _agreed(self.tau * _solved(self.r))
        return found if found and _round(found, "125") else None

    def is_added_as_it_is(self, dt: float | None) -> bool:
        if not self.tau.size:
            return self.endless
        return dt is not None and _same(self.r, self.tau / dt)

    def is_decayed(self, dt: float) -> bool:
        return bool(self.tau.size) and _same(self.r, self.tau * np.exp(-dt / self.tau) / dt)

    def is_plain(self) -> bool:
        """Whether there are leaky neurons, all with r = 1."""
        return bool(self.tau.size) and bool((self.r == 1).all())

    def candidates(self) -> list[tuple[float, str]]:
        """Each dt that an exporter uses if not told otherwise and that leaves the leaks in reason, with its name."""
        known = ((1e-4, "the default of SpikingJelly and snnTorch"), (1e-3, "the default of Rockpool"),
                 (1e-6, "the default of Norse, squared as Norse writes it"),
                 (1.0, "sinabs, which writes tau in steps"))
        return [(dt, name) for dt, name in known
                if self.tau.size and ((dt <= self.tau * (1 + CLOSE)) & (dt >= self.tau / 1000)).all()]


def settle(graph: Graph, said: Conventions) -> Settled:
    """Fill in what the numbers of a file show, and say so.

    Raises
    ------
    CompileError
        The file looks like that of an exporter whose neurons may do either of two things.
    """
    notes: list[str] = []
    seen = _evidence(graph.nodes.values())
    added, decayed = seen.added_as_they_are(), seen.decayed()
    shown = None if added and decayed else added or decayed
    if said.dt is None and shown is not None:
        if seen.tau.size or shown != 1.0:
            notes.append(f"dt = {shown:g} is taken from r and tau of the neurons: " + (
                "with it they add their inputs as they are (r = tau / dt, of IF 1 / dt)" if added else
                "r is tau·exp(−dt/tau) / dt, as Rockpool writes it"))
        said = replace(said, dt=shown)
    elif said.dt is not None and shown is not None and not np.isclose(said.dt, shown, rtol=1e-3, atol=0):
        notes.append(f"dt should be {shown:g}, by r and tau of the neurons, not {said.dt:g}")
    dt = said.dt
    if dt is None:
        pass
    elif seen.is_decayed(dt) and not seen.is_added_as_it_is(dt) and said.leak_rule is None:
        notes.append("leak_rule = 'exponential' and gain = 1 are taken from r and tau of the neurons: "
                     "r = tau·exp(−dt/tau) / dt is how Rockpool writes v = exp(−dt/tau)·v + x; its neurons subtract, "
                     "at the threshold, and spike several times a step (levels)")
        said = replace(said, leak_rule="exponential", gain=1.0 if said.gain is None else said.gain)
        if said.current_rule is None and _lasting(graph, dt):
            notes.append("current_rule = 'decay' is taken from them, too: Rockpool's currents leak after their input")
            said = replace(said, current_rule="decay")
    elif seen.is_plain() and dt == 1.0 and said.leak_rule is None and not seen.is_added_as_it_is(dt):
        raise CompileError(
            f"{graph.name}: leak_rule must be given with dt = 1 and r = 1: sinabs writes tau in steps and leaks by "
            "exp(−1/tau), 'exponential'; NIR's equation by forward Euler leaks by 1 − 1/tau, 'euler'")
    elif seen.is_plain() and dt == 1.0 and said.leak_rule == "exponential" and said.gain is None:
        notes.append("inputs are weighed by 1 − exp(−dt/tau), as by sinabs's norm_input=True; for norm_input=False "
                     "give gain = 1")
    plain = [node for node in _lasting(graph, dt) if np.all(node.fields.get("w_in", 1) == 1)]
    if plain and said.current_rule is None:
        raise CompileError(
            f"{graph.name}: current_rule must be given with w_in = 1: Norse writes it for currents that jump by their "
            "input, 'jump'; NIR's equation adds the share dt / tau_syn of it in a step, 'rate'")
    added = seen.is_added_as_it_is(dt) and said.leak_rule != "exponential"
    if added and said.reset == "subtract" and said.reset_delay is None:
        raise CompileError(
            f"{graph.name}: reset_delay must be given with a reset that subtracts: r = tau / dt is what snnTorch "
            "writes, whose neurons subtract one step late unless they were made with reset_delay=False")
    if (said.levels is None and said.reset == "subtract" and not said.strict and seen.rates.size
            and (seen.rates == 1).all()):
        notes.append("levels = 1 and no v_min are assumed: neurons of sinabs, which writes r = 1, may spike several "
                     "times a step (levels) and be clamped (v_min)")
    other = [(shown, "by r and tau of the neurons")] if shown else seen.candidates()
    known = said.dt is not None and any(np.isclose(value, said.dt, rtol=1e-3, atol=0) for value, _ in other)
    words = [] if known else [f"{value:g} ({why})" for value, why in other]
    return Settled(said=said, notes=notes, added=added, likely=" or ".join(words))


def _lasting(graph: Graph, dt: float | None) -> list[Node]:
    """The nodes with currents that last longer than a step."""
    pairs = [(node, _positive(node, "tau_syn")) for node in graph.nodes.values() if node.kind.startswith("Cuba")]
    return [node for node, taus in pairs if taus.size and dt is not None and not _same(taus, np.full_like(taus, dt))]


def _evidence(nodes: Iterable[Node]) -> _Evidence:
    pairs, rates, endless = [np.zeros((2, 0))], [np.zeros(0)], False
    for node in nodes:
        if node.kind not in FIRING + HOLDING or node.kind == "Threshold":
            continue
        r, tau = _positive(node, "r"), _positive(node, "tau_mem" if node.kind.startswith("Cuba") else "tau")
        endless |= bool(np.isinf(r).any() and np.isinf(tau).any())
        if node.kind in ("IF", "I"):
            rates.append(r[np.isfinite(r)])
        elif r.size and tau.size and (r.size == tau.size or 1 in (r.size, tau.size)):
            both = np.stack(np.broadcast_arrays(tau, r))
            pairs.append(both[:, np.isfinite(both).all(0)])
    tau, r = np.array(sorted(set(zip(*np.concatenate(pairs, axis=1), strict=True)))).reshape(-1, 2).T
    return _Evidence(tau=tau, r=r, rates=np.unique(np.concatenate(rates)), endless=endless)


def _positive(node: Node, what: str) -> np.ndarray:
    """The numbers of a field, flat; empty if any is not positive."""
    value = node.fields.get(what)
    if not isinstance(value, np.ndarray):
        return np.zeros(0)
    value = value.astype(np.float64).ravel()
    return value if (value > 0).all() else np.zeros(0)


def _agreed(votes: Sequence[float] | np.ndarray) -> float | None:
    """The one value of all votes, as a short number if that is within float32's rounding; None if they differ."""
    if not len(votes) or max(votes) > min(votes) * (1 + CLOSE):
        return None
    value = float(np.median(votes))
    return short if np.isclose(short := float(f"{value:.3g}"), value, rtol=CLOSE, atol=0) else value


def _round(value: float, digits: str) -> bool:
    """Whether a number is one of the digits times a power of ten."""
    text = f"{value:.9e}"
    return text[0] in digits and text[2:11] == "0" * 9


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return bool(np.allclose(one, other, rtol=CLOSE, atol=0))


def _solved(r: np.ndarray) -> np.ndarray:
    """x with exp(−x)/x = r, by Newton's method."""
    x = np.log1p(1 / r)
    for _ in range(50):
        x = x - (x * np.exp(x) - 1 / r) / (np.exp(x) * (1 + x))
    return x
