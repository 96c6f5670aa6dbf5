# SPDX-License-Identifier: MIT
"""What a network says about images, batch by batch."""

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
    """What a network says about images.

    Parameters
    ----------
    classes : dict of int64[B]
        By read-out.
    measures : dict of float
        Means over the images that a report shows, by name.
    """

    classes: dict[Readout, np.ndarray]
    measures: dict[str, float]


@torch.no_grad()
def collect(decide: Decide, images: Images) -> Evidence:
    """Evidence on uint8[B, N] images from classes and measures of one batch."""
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
    """The decision at the first output spike, from "fires in step t, or has fired before" and membranes, [T, B, C].

    ``step`` int64[B]: the first in which any output fires, T − 1 if none does. ``at`` bool[B, C]: who fires in it.
    ``classes`` int64[B]: the largest membrane among those, then the lowest index; if silent, of all at T − 1.
    """
    step = fired.any(2).logical_not().sum(0).clamp(max=len(fired) - 1)
    images = torch.arange(fired.shape[1], device=fired.device)
    at, value = fired[step, images], membrane[step, images]
    candidates = at | ~at.any(1, keepdim=True)
    return {"step": step, "at": at, "classes": torch.where(candidates, value, -torch.inf).argmax(1)}
