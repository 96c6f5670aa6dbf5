# SPDX-License-Identifier: MIT
"""Values and cycles of a program together."""

from firstspike_sim.models import prediction
from firstspike_sim.models.golden import GoldenModel
from firstspike_sim.models.prediction import predict_inputs, predict_stimulus
from firstspike_sim.stimulus import random_waits


def test_values_are_computed_once_with_waits_too(alive_programs, monkeypatch):
    (program, inputs), = alive_programs(300, 1)
    runs = []

    class Counted(GoldenModel):
        def run(self, given):
            runs.append(len(given))
            return super().run(given)

    plain = predict_inputs(program, inputs)
    monkeypatch.setattr(prediction, "GoldenModel", Counted)
    waiting = predict_inputs(program, inputs, waits=5)
    assert runs == [len(inputs)]
    wanted = predict_stimulus(program, inputs, random_waits(plain.stimulus, 5))
    assert waiting.stimulus.gaps.tolist() == wanted.stimulus.gaps.tolist() and waiting.stimulus.gaps.any()
    assert waiting.trace.taken.tolist() == wanted.trace.taken.tolist() != plain.trace.taken.tolist()
