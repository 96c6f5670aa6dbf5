# SPDX-License-Identifier: MIT
"""A run of any backend against its prediction."""

from collections.abc import Callable

import pytest
from firstspike_sim.compare import compare
from firstspike_sim.models.prediction import Prediction, predict_inputs


@pytest.fixture(scope="session")
def agree() -> Callable[..., Prediction]:
    """``agree(backend, program, inputs)``: all values and cycles are as predicted; with a seed, under random waits.
    Returns the prediction."""

    def check(backend, program, inputs, seed: int | None = None) -> Prediction:
        prediction = predict_inputs(program, inputs, waits=seed)
        backend.load(program)
        checks = compare(program.network, prediction.stimulus, prediction.trace, backend.run(prediction.stimulus))
        assert all(one.compared for one in checks)
        assert [one.first for one in checks if one.different] == [], program.network.name
        return prediction

    return check
