# SPDX-License-Identifier: MIT
"""The state of a training run between two epochs, as a file."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from firstspike_arch.program import write_atomically
from firstspike_arch.shown import said
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from .recipe import without_defaults

__all__ = ["ResumeError", "TrainingState", "is_state", "refused", "restore_modules", "restore_optimizer", "tensors_of"]

_METADATA = "firstspike_training"


class ResumeError(ValueError):
    """A state file belongs to another run or is damaged; the message says what to do."""


@dataclass(frozen=True, kw_only=True)
class TrainingState:
    """What a training run keeps.

    Parameters
    ----------
    recipe : dict
        The parameters that a run must have to go on from it, as plain JSON values.
    facts : dict
        Epochs done, history, accuracies, …, as plain JSON values.
    tensors : dict of str to Tensor
        See `tensors_of`.
    """

    recipe: dict[str, Any]
    facts: dict[str, Any]
    tensors: dict[str, torch.Tensor] = field(repr=False)

    def write(self, path: Path) -> None:
        """Write it to a file, whole or not at all."""
        contiguous = {name: value.cpu().contiguous() for name, value in self.tensors.items()}
        write_atomically(path, save(contiguous, {_METADATA: json.dumps({**self.facts, "recipe": self.recipe})}))

    @classmethod
    def read(
        cls, path: Path, recipe: dict[str, Any], advice: str, *, of: Iterable[str] | None = None,
    ) -> "TrainingState":
        """Read the state of a run with these parameters, or with the same in some of their tables (``of``).

        Raises
        ------
        ResumeError
            The file is damaged, or the state of another run; the message ends with ``advice``.
        """
        try:
            with safe_open(path, framework="pt") as file:
                facts = json.loads((file.metadata() or {})[_METADATA])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
            found = facts.pop("recipe")
        except (OSError, SafetensorError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise refused(path, error, advice) from None
        try:
            theirs, own = without_defaults(found), without_defaults(recipe)
            same = all(theirs[name] == own[name] for name in of) if of is not None else theirs == own
        except (KeyError, TypeError, AttributeError):
            same = False
        if not same:
            raise ResumeError(f"{path}: is the state of another recipe; {advice}")
        return cls(recipe=found, facts=facts, tensors=tensors)


def is_state(path: Path) -> bool:
    """Whether a file is the state of a training, not a network; also if it cannot be read at all."""
    try:
        with safe_open(path, framework="pt") as file:
            return _METADATA in (file.metadata() or {})
    except (OSError, SafetensorError):
        return True


def refused(path: Path, error: Exception, advice: str) -> ResumeError:
    """Return the refusal of a damaged file."""
    return ResumeError(f"{path}: must be a whole training state ({said(error)}); {advice}")


def tensors_of(
    parts: Iterable[tuple[str, nn.Module]], optimizer: torch.optim.Optimizer | None = None,
) -> dict[str, torch.Tensor]:
    """Return the state of modules, by part and name, and that of the optimizer, by number of the parameter and name."""
    tensors = {f"{part}.{name}": value for part, module in parts for name, value in module.state_dict().items()}
    for index, state in ({} if optimizer is None else optimizer.state_dict()["state"]).items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in state.items()}
    return tensors


def restore_modules(parts: Iterable[tuple[str, nn.Module]], tensors: dict[str, torch.Tensor]) -> None:
    """Load the state of each of these parts.

    Raises
    ------
    RuntimeError
        Tensors are missing, unknown or of another shape.
    """
    for part, module in parts:
        prefix = f"{part}."
        module.load_state_dict({k[len(prefix):]: v for k, v in tensors.items() if k.startswith(prefix)})


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> None:
    """Load the state of an optimizer, in the memory format of each parameter."""
    states: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        kind, _, rest = key.partition(".")
        if kind == "optimizer":
            index, _, name = rest.partition(".")
            states.setdefault(int(index), {})[name] = value
    for index, parameter in enumerate(one for group in optimizer.param_groups for one in group["params"]):
        for name, value in states.get(index, {}).items():
            if value.shape == parameter.shape:
                states[index][name] = torch.empty_like(parameter, requires_grad=False).copy_(value)
    optimizer.load_state_dict({"state": states, "param_groups": optimizer.state_dict()["param_groups"]})
