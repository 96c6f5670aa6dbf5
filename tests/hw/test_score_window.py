# SPDX-License-Identifier: MIT
"""Score window: its arguments. What it computes, the tests of the read-out compare with the golden model."""

import re

import pytest
from firstspike_hw.score_window import ScoreWindow

SUMS = {"rows": 3, "lanes": 4, "score_bits": 6, "value_bits": 0, "magnitude_bits": 2, "steps_max": 4,
        "step_weights": (4, 3, 2, 1), "earliest": False, "turning": False}


def test_score_window_has_its_arguments():
    unit = ScoreWindow(**SUMS)
    assert {name: getattr(unit, name) for name in SUMS} == SUMS


@pytest.mark.parametrize("wrong, message", [
    ({"lanes": 0}, "lanes must be an integer of at least 1, not 0"),
    ({"step_weights": (1, 2)}, "step_weights must be 4 numbers, one a step, not 2"),
    ({"earliest": True}, "step_weights must be empty where no spikes are summed, not (4, 3, 2, 1)"),
])
def test_score_window_refuses_wrong_arguments(wrong, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        ScoreWindow(**{**SUMS, **wrong})
