# SPDX-License-Identifier: MIT
"""A run of any backend against its prediction."""

from collections.abc import Callable

import pytest
from firstspike_sim.compare import compare
from firstspike_sim.models.prediction import predict_inputs, predict_stimulus
from firstspike_sim.stimulus import random_waits


@pytest.fixture(scope="session")
def agree() -> Callable[..., None]:
    """``agree(backend, program, inputs)``: all values and cycles are as predicted; with a seed, under random waits."""

    def check(backend, program, inputs, seed: int | None = None) -> None:
        prediction = predict_inputs(program, inputs)
        if seed is not None:
            prediction = predict_stimulus(program, inputs, random_waits(prediction.stimulus, seed))
        backend.load(program)
        checks = compare(program.network, prediction.stimulus, prediction.trace, backend.run(prediction.stimulus))
        assert all(one.compared for one in checks)
        assert [one.first for one in checks if one.different] == [], program.network.name

    return check
