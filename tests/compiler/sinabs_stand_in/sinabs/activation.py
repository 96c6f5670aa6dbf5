# SPDX-License-Identifier: MIT
"""Spikes of a step, and what they do to a membrane."""

from dataclasses import dataclass

import torch


class SingleSpike:
    @staticmethod
    def of(v, theta):
        return (v >= theta).to(v.dtype)


class MultiSpike:
    @staticmethod
    def of(v, theta):
        return torch.div(v.clamp(min=0), theta, rounding_mode="floor")


@dataclass
class MembraneSubtract:
    subtract_value: float | None = None

    def after(self, v, spikes, theta):
        return v - spikes * (theta if self.subtract_value is None else self.subtract_value)


@dataclass
class MembraneReset:
    reset_value: float = 0.0

    def after(self, v, spikes, theta):
        return torch.where(spikes > 0, 0.0, v) + self.reset_value
