# SPDX-License-Identifier: MIT
"""Memories of cores are as bad as hardware may be, in Amaranth's simulator."""

import pytest
from firstspike_sim.testing.colliding_memory import CollidingMemory


@pytest.fixture(autouse=True)
def wrong_words_in_collisions(monkeypatch):
    """Nothing may use what is read of a row, a spike word or weights while they are written: devices differ there."""
    for name in ("row_memory", "spike_queue", "weight_memory"):
        monkeypatch.setattr(f"firstspike_hw.{name}.Memory", CollidingMemory)
