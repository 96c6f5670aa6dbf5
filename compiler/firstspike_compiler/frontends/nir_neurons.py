# SPDX-License-Identifier: MIT
"""NIR's neurons, given in volts and seconds, as neurons that take a step at a time."""

from dataclasses import dataclass

import numpy as np
from firstspike_arch.connectivity import Conv2d, Dense
from firstspike_arch.neuron import FloatNeuron
from firstspike_arch.shown import shown

from .nir_conventions import Settled
from .nir_graph import Node
from .nir_nodes import HOLDING, NodeError, farthest, per_channel, positive

__all__ = ["neurons"]

PARTS, CLOSE = 4096, 1e-6
"""A number that is a multiple of 1/PARTS but for a relative error of CLOSE is that multiple: exporters compute in
float32, so that β = 0 comes as dt / tau = 1.0000000252621255."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Reader:
    """One node of neurons; ``connectivity`` is that of the synapses in front of it."""

    name: str
    node: Node
    connectivity: Dense | Conv2d
    settled: Settled

    def vector(self, what: str, default: float | None = None, *, finite: bool = True) -> np.ndarray:
        return per_channel(self.name, self.node, what, self.connectivity, default, finite=finite)

    def step(self) -> tuple[np.ndarray | float, np.ndarray]:
        """Leak, and gain of the input, or of the current, of one step, float64[C] each."""
        said = self.settled.said
        leaks = self.node.kind not in ("IF", "I")
        r = self.vector("r", finite=not leaks)
        positive(self.name, "r", r)
        if not leaks:
            if said.dt is None and said.gain is None and (r != 1).any():
                raise NodeError(self.name, f"dt must be given for {self.node.kind} with r = {farthest(r):g}: the file "
                               "does not say how long a step is")
            leak, gain = 1.0, r * (1.0 if said.dt is None else said.dt)
        else:
            tau = "tau_mem" if self.node.kind.startswith("Cuba") else "tau"
            shares, gain = self._filter(tau, "r", r)
            leak = 1.0 - shares
        return leak, np.full(len(r), float(said.gain)) if said.gain is not None else _snapped(gain)

    def current(self) -> tuple[np.ndarray | None, np.ndarray]:
        """Leak of the current, None if it does not last, and gain of what it gets in a step, float64[C] each."""
        ones = np.ones(self.connectivity.channels)
        if not self.node.kind.startswith("Cuba"):
            return None, ones
        weights = ones if "w_in" not in self.node.fields else self.vector("w_in", finite=False)
        positive(self.name, "w_in", weights)
        shares, gain = self._filter("tau_syn", "w_in", weights)
        leak, rule = 1.0 - shares, self.settled.said.current_rule
        if rule in ("jump", "decay"):
            if np.isinf(weights).any():
                raise NodeError(self.name, f"w_in must be finite with current_rule {rule!r}")
            gain = weights if rule == "jump" else weights * leak
            positive(self.name, "what a current keeps of its input", gain)
        return (leak if leak.any() or self.settled.said.current_delay else None), _snapped(gain)

    def _filter(self, name: str, factor: str, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What a step takes away, of a membrane or a current with the time constant ``name``, and what it adds of its
        input, times ``weights``, the field ``factor``; float64[C] each."""
        said = self.settled.said
        tau = self.vector(name, finite=False)
        positive(self.name, name, tau)
        lasting = np.isinf(tau)
        if (np.isinf(weights) & ~lasting).any():
            raise NodeError(self.name, f"{factor} must be finite where {name} is")
        dt = 1.0 if said.dt is None else said.dt  # if nothing depends on it
        if said.dt is None and (name != "tau" or not lasting.all()):
            raise NodeError(self.name, f"dt must be given for {self.node.kind}: the file does not say how long a step "
                           f"is{self._likely()}")
        passed = dt / tau
        shares = _snapped(passed if said.leak_rule != "exponential" else -np.expm1(-passed))
        if (shares > 1).any():
            raise NodeError(self.name, f"dt / {name} must be in 0 … 1, not {float(passed.max()):g}: dt is too long"
                           f"{self._likely()}")
        # snnTorch writes a factor of 1 as tau = r = ∞, whose ratio is dt: v = v + x.
        gain = np.where(lasting & np.isinf(weights), 1.0, np.where(lasting, 1.0, weights) * shares)
        positive(self.name, f"{factor}·dt / {name}", gain)
        return shares, gain

    def _likely(self) -> str:
        return f"; by the file, it could be {self.settled.likely}" if self.settled.likely else ""


def neurons(
    name: str, node: Node, connectivity: Dense | Conv2d, settled: Settled, *, potential: bool, last: bool,
) -> tuple[FloatNeuron, np.ndarray]:
    """Convert a node to neurons without their bias, and a factor for weights and bias of the synapses, float64[C].

    In a step, v grows by ``gain`` times the input; the thresholds are divided by it. Membranes that must share a unit,
    because a potential read-out compares them or ``v_min`` is one for all, have the gain as the factor.

    Parameters
    ----------
    connectivity : Dense or Conv2d
        That of the synapses in front of the neurons.
    potential : bool
        The read-out reads potentials.
    last : bool
        The node leads to the Output.

    Raises
    ------
    NodeError
        The node cannot be mapped.
    """
    said = settled.said
    reader = _Reader(name=name, node=node, connectivity=connectivity, settled=settled)
    plain = np.ones(connectivity.channels)
    if node.kind == "Output":
        return FloatNeuron(reset="none"), plain
    holds = node.kind in HOLDING
    if holds and not potential:
        raise NodeError(name, f"{node.kind} must be read by its potential: it does not fire")
    if potential and not holds and last:
        raise NodeError(name, f"{node.kind} must not be at the output of a potential read-out: it resets")
    if node.kind == "Threshold":
        theta = reader.vector("threshold")
        positive(name, "threshold", theta)
        return FloatNeuron(theta=theta, leak=0.0, reset="none", strict=said.strict), plain
    leak, gain = reader.step()
    lasting, taken = reader.current()
    gain = gain * taken
    delay = lasting is not None and bool(said.current_delay)
    rest = plain * 0 if node.kind in ("IF", "I") else reader.vector("v_leak", 0.0)
    after = rest if holds else reader.vector("v_reset", 0.0)
    soft = said.reset == "subtract"
    if soft and not holds and after.any():
        raise NodeError(name, f"v_reset must be 0 with a reset that subtracts, not {shown(farthest(after))}")
    if holds:
        # What differs by rounding alone is the same. Membranes are compared: with what they rest at, if that differs.
        same = np.allclose(gain, gain[0], rtol=1e-12, atol=0)
        apart = rest if (rest != rest[0]).any() else None
        return FloatNeuron(
            leak=leak, current_leak=lasting, current_delay=delay, reset="none", v_init=apart,
            bias=None if apart is None else (1 - leak) * apart), (
            np.full_like(gain, gain[0]) if same else gain)
    threshold = reader.vector("v_threshold")
    # Membranes count from where they rest. Neurons that would fire from there alone count from the reset potential.
    origin = rest if soft or (threshold > rest).all() else after
    pull, theta = rest - origin, threshold - origin
    if rest.any() and (theta <= 0).any():
        raise NodeError(name, f"v_threshold must be above v_leak{'' if soft else ', or above v_reset'}, not "
                        + (f"below by {shown(-float(theta.min()))}" if theta.min() < 0 else "equal to it"))
    positive(name, "v_threshold", theta)
    unit, drive, lowest = gain, plain, None
    if said.v_min is not None:
        if (origin != origin[0]).any():
            raise NodeError(name, "v_leak must be the same for all neurons with v_min")
        unit, drive = (gain, plain) if (gain == gain[0]).all() else (plain, gain)
        lowest = (said.v_min - float(origin[0])) / float(unit[0])
        if said.v_min > rest.min():
            raise NodeError(name, f"v_min must be at most v_leak, {float(rest.min())!r}, not {shown(said.v_min)}")
    if said.levels is not None and said.levels > 1:
        if rest.any():
            raise NodeError(name, f"v_leak must be 0 with several levels, not {shown(farthest(rest))}")
        theta = theta[:, None] * np.arange(1, said.levels + 1)
    apart = (after - origin) / unit if not soft and (after != origin).any() else None
    begin = pull / unit if pull.any() else None
    if node.kind == "IF" and apart is not None:
        if said.start is None:
            raise NodeError(name, f"start must be given for IF with v_reset = {farthest(after):g}: SpikingJelly's "
                           "neurons start from there, 'reset', those of others from 0, 'zero'")
        begin = apart if said.start == "reset" else None
    # Setting the membrane to 0 before the next step's leak is the same as doing so after the spike.
    late = bool(said.reset_delay) and (said.reset == "subtract" or apart is not None)
    return FloatNeuron(
        theta=(theta.T / unit).T, leak=leak, current_leak=lasting, current_delay=delay, reset=said.reset,
        strict=said.strict, reset_delay=late, v_reset=apart,
        reset_step=threshold / unit if soft and rest.any() else None, v_init=begin,
        bias=(1 - leak) * pull / unit if pull.any() else None, v_min=lowest), drive


def _snapped(values: np.ndarray) -> np.ndarray:
    """Numbers without the rounding error of float32, if they are multiples of 1 / PARTS; see there."""
    near = np.rint(values * PARTS) / PARTS
    return np.where(np.abs(values - near) <= CLOSE * np.abs(values), near, values)
