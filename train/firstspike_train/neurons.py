# SPDX-License-Identifier: MIT
"""Neurons as plain torch modules, for the user's own networks and training loops.

A module takes the currents of all steps at once, [T, B, …], starts from a membrane of 0 and keeps no state.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Literal, get_args

import torch
from firstspike_arch.events import MAGNITUDE_MAX
from firstspike_arch.neuron import Reset
from torch import nn

from .surrogates import SLOPES, staircase

__all__ = ["IF", "LIF", "LeakyIntegrator", "SpikingSequential", "integrate"]

THETA_MIN = 1e-3

Step = Callable[[torch.Tensor], torch.Tensor]
Receive = Callable[[torch.Tensor, list[torch.Tensor]], torch.Tensor]


def integrate(
    currents: Iterable[torch.Tensor], *, fire: Step = lambda membrane: membrane, decay: Step | None = None,
    reset: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None, receive: Receive | None = None,
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Run v ← decay(v) + current; s = fire(v); v ← reset(v, s) from v = 0; return s and v before the reset, step by
    step. ``receive`` may change a current, and is given the spikes of all steps before."""
    fired: list[torch.Tensor] = []
    membranes: list[torch.Tensor] = []
    for current in currents:
        if receive is not None:
            current = receive(current, fired)
        if membranes:
            kept = membranes[-1] if reset is None else reset(membranes[-1], fired[-1])
            current = (kept if decay is None else decay(kept)) + current
        membranes.append(current)
        fired.append(fire(current))
    return fired, membranes


class LIF(nn.Module):
    """Leaky integrate-and-fire neurons, with one or several thresholds.

    In every step v ← leak·v + current, or with ``current_leak`` i ← current_leak·i + current and v ← leak·v + i; the
    spike's magnitude s is the number of thresholds that v reaches; then v
    resets. The gradient of a spike is that of a surrogate; no gradient passes through the spike of a reset.

    Parameters
    ----------
    leak : float
        Factor of the membrane in each step, 0 … 1. Compiled leaks are num/2^8 or coarser; 0.875 needs no rounding.
    theta : float or Tensor
        Threshold, at least 0.001; a tensor broadcasts to the neurons. A model to be compiled has one number a channel,
        (N,) or (C, 1, 1).
    reset : "subtract", "zero" or "none"
        After a spike, v becomes v − s·theta, or 0, or stays.
    single_spike : bool
        Neurons fire at most once in an inference; there is no reset.
    strict : bool
        Neurons fire where v > theta instead of v ≥ theta.
    levels : int
        Number of thresholds theta, 2·theta, …: 1 … 15.
    current_leak : float
        Currents last: factor of i in each step, 0 … 1. None: they do not.
    learns : tuple of str
        Which of "theta", "leak" and "current_leak" are trained parameters; the forward pass clamps them to their
        ranges.
    slope, width :
        Shape of the surrogate gradient (a name in `surrogates.SLOPES`) and its width, as a function of the membrane in
        thetas; see `surrogates.staircase`.

    Raises
    ------
    ValueError
        An argument is out of range; the message names it.
    """

    # Ref: E. O. Neftci, H. Mostafa, F. Zenke, "Surrogate gradient learning in spiking neural networks", 2019.

    leak: torch.Tensor
    theta: torch.Tensor
    current_leak: torch.Tensor | None

    def __init__(
        self, leak: float, theta: float | torch.Tensor = 1.0, *,
        reset: Reset = "subtract", single_spike: bool = False, strict: bool = False,
        levels: int = 1, current_leak: float | None = None,
        learns: Sequence[Literal["theta", "leak", "current_leak"]] = (), slope: str = "triangle", width: float = 1.0,
    ) -> None:
        super().__init__()
        if reset not in get_args(Reset):
            raise ValueError(f"reset must be one of {', '.join(get_args(Reset))}, not {reset!r}")
        if not isinstance(levels, int) or not 1 <= levels <= (1 if single_spike else MAGNITUDE_MAX):
            raise ValueError(f"levels must be 1…{MAGNITUDE_MAX}, and 1 with single_spike, not {levels!r}")
        if isinstance(learns, str) or not set(learns) <= {"theta", "leak", "current_leak"}:
            raise ValueError(f"learns must be a tuple of 'theta', 'leak' and 'current_leak', not {learns!r}")
        if current_leak is None and "current_leak" in learns:
            raise ValueError("current_leak must be a number 0…1 to be learned, not None")
        if slope not in SLOPES or not width > 0:
            raise ValueError(f"slope must be one of {', '.join(SLOPES)}, and width positive, not {slope!r}, {width!r}")
        _number(self, "leak", _leak(leak), learns="leak" in learns)
        if current_leak is None:
            self.register_buffer("current_leak", None)
        else:
            _number(self, "current_leak", _leak(current_leak, "current_leak"), learns="current_leak" in learns)
        _number(self, "theta", torch.as_tensor(theta, dtype=torch.float32), learns="theta" in learns)
        if not (torch.isfinite(self.theta).all() and (self.theta >= THETA_MIN).all()):
            raise ValueError(f"theta must be at least {THETA_MIN}, not {theta!r}")
        self.reset: Reset = reset
        self.single_spike, self.strict, self.levels = single_spike, strict, levels
        self.slope, self.width = slope, width

    def extra_repr(self) -> str:
        return (f"reset={self.reset!r}, single_spike={self.single_spike}, strict={self.strict}, levels={self.levels}")

    def operands(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Leak and theta, clamped to their ranges, which training may have left."""
        return self.leak.clamp(0, 1), self.theta.clamp(min=THETA_MIN)

    def lasting(self) -> torch.Tensor | None:
        """What a step leaves of currents, clamped like `operands`; None: they do not last."""
        return None if self.current_leak is None else self.current_leak.clamp(0, 1)

    def forward(self, currents: torch.Tensor) -> torch.Tensor:
        """Return spikes [T, B, …] for currents [T, B, …]."""
        return self.run(currents)[0]

    def run(self, currents: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return spikes and membranes before the reset, [T, B, …] each; with ``single_spike``, membranes integrate on
        after a spike."""
        leak, theta = self.operands()
        decay = _decay(leak)
        if (lasting := self.lasting()) is not None:
            currents = torch.stack(integrate(currents, decay=_decay(lasting))[1])

        def fire(membrane: torch.Tensor) -> torch.Tensor:
            return staircase((membrane - theta) / theta, self.slope, self.width, levels=self.levels, strict=self.strict)

        if self.single_spike:
            membranes = torch.stack(integrate(currents, decay=decay)[1])
            # A neuron has fired by step t if max(v[0] … v[t]) reaches theta.
            fired = fire(membranes.cummax(0).values)
            return torch.diff(fired, dim=0, prepend=torch.zeros_like(fired[:1])), membranes
        resets = {
            "subtract": lambda membrane, spikes: membrane - spikes.detach() * theta,
            "zero": lambda membrane, spikes: membrane * (spikes.detach() == 0),
            "none": None,
        }
        spikes, membranes = integrate(currents, fire=fire, decay=decay, reset=resets[self.reset])
        return torch.stack(spikes), torch.stack(membranes)


class IF(LIF):
    """Integrate-and-fire neurons: `LIF` without a leak, and with the same options.

    With ``single_spike`` they are the neurons of time-to-first-spike networks.
    """

    def __init__(self, theta: float | torch.Tensor = 1.0, **options) -> None:
        super().__init__(1.0, theta, **options)


class LeakyIntegrator(nn.Module):
    """Output neurons without a threshold, v ← leak·v + current; the class is the largest v after the last step.

    Parameters
    ----------
    leak : float
        Factor of the membrane in each step, 0 … 1.
    learns : bool
        The leak is a trained parameter.
    """

    leak: torch.Tensor

    def __init__(self, leak: float = 1.0, *, learns: bool = False) -> None:
        super().__init__()
        _number(self, "leak", _leak(leak), learns=learns)

    def operand(self) -> torch.Tensor:
        """The leak, clamped to its range, which training may have left."""
        return self.leak.clamp(0, 1)

    def forward(self, currents: torch.Tensor) -> torch.Tensor:
        """Return membranes [T, B, …] for currents [T, B, …]."""
        return torch.stack(integrate(currents, decay=_decay(self.operand()))[1])


class SpikingSequential(nn.Sequential):
    """A `torch.nn.Sequential` for inputs [T, B, …].

    Neurons, and modules that contain neurons, get all steps at once, [T, B, …]. Any other module gets [T·B, …], like a
    batch of images.
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Return outputs [T, B, …] for inputs [T, B, …]."""
        x = input
        for module in self:
            if any(isinstance(part, LIF | LeakyIntegrator | SpikingSequential) for part in module.modules()):
                x = module(x)
            else:
                x = module(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        return x


def _leak(value: float, name: str = "leak") -> torch.Tensor:
    if not (isinstance(value, int | float) and 0 <= value <= 1):
        raise ValueError(f"{name} must be a number 0…1, not {value!r}")
    return torch.tensor(float(value))


def _number(module: nn.Module, name: str, value: torch.Tensor, *, learns: bool) -> None:
    """Register a parameter (``learns``) or a buffer; both are in the state_dict and follow the module to its device."""
    if learns:
        module.register_parameter(name, nn.Parameter(value.clone()))
    else:
        module.register_buffer(name, value.clone())


def _decay(leak: torch.Tensor) -> Step | None:
    """The leak as a function of the membrane; None for a leak of 1 that is not learned."""
    return (lambda membrane: leak * membrane) if leak.requires_grad or leak.item() != 1 else None
