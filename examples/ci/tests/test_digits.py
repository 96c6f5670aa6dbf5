"""What this project asks of its network beyond equal hardware and models."""

from pathlib import Path

import numpy as np
import pytest

INPUTS = "networks/inputs.npz"
LATENCY_CYCLES = 2400
"""What the rest of the design can wait for."""


@pytest.mark.firstspike(waits=[None])
def test_accuracy_and_latency_in_hardware(firstspike_verify):
    outcome = firstspike_verify("networks/digits.safetensors", data=INPUTS, lanes=8)
    labels = np.load(Path(__file__).parents[1] / INPUTS)["labels"]
    assert np.mean(outcome.classes == labels[:len(outcome.classes)]) >= 0.9
    assert outcome.latency.max() <= LATENCY_CYCLES
