# SPDX-License-Identifier: MIT
"""Collection of a network's decisions and measures on images, batch by batch."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from firstspike_arch.float_network import Readout

from .image_folders import Images

__all__ = ["Evidence", "collect", "first_spike"]

EVALUATION_BATCH = 500

Decide = Callable[[torch.Tensor], tuple[dict[Readout, torch.Tensor], dict[str, float]]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """Decisions of a network on images, and measures of how it reaches them.

    Parameters
    ----------
    classes : dict of int64[B]
        Decisions by each read-out.
    measures : dict of float
        Means over the images, by name, for reports.
    """

    classes: dict[Readout, np.ndarray]
    measures: dict[str, float]


@torch.no_grad()
def collect(decide: Decide, images: Images) -> Evidence:
    """Collect the evidence on images, uint8[B, N], from ``decide``, which gives classes and measures of a batch."""
    classes: dict[Readout, list[np.ndarray]] = {}
    sums: dict[str, float] = {}
    for batch in images.split(EVALUATION_BATCH):
        decided, measures = decide(batch)
        for readout, values in decided.items():
            classes.setdefault(readout, []).append(values.cpu().numpy())
        for name, value in measures.items():
            sums[name] = sums.get(name, 0.0) + value * len(batch)
    return Evidence(
        classes={readout: np.concatenate(parts) for readout, parts in classes.items()},
        measures={name: value / len(images) for name, value in sums.items()},
    )


def first_spike(fired: torch.Tensor, membrane: torch.Tensor) -> dict[str, torch.Tensor]:
    """Decide at the first output spike.

    Parameters
    ----------
    fired : [T, B, C]
        Whether each output fires in step t, or has fired before.
    membrane : [T, B, C]

    Returns
    -------
    dict
        ``step``, int64[B]: first step in which any output fires; T − 1 if none does. ``at``, bool[B, C]: outputs that
        fire in that step. ``classes``, int64[B]: of these outputs the one with the largest membrane, then the lowest
        index; if no output fires, of all outputs at T − 1.
    """
    step = fired.any(2).logical_not().sum(0).clamp(max=len(fired) - 1)
    images = torch.arange(fired.shape[1], device=fired.device)
    at, value = fired[step, images], membrane[step, images]
    candidates = at | ~at.any(1, keepdim=True)
    return {"step": step, "at": at, "classes": torch.where(candidates, value, -torch.inf).argmax(1)}
