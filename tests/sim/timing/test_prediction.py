# SPDX-License-Identifier: MIT
"""Values and cycles of a program together."""

import numpy as np
from firstspike_arch.backend import Stimulus
from firstspike_arch.network_builder import NetworkBuilder
from firstspike_arch.work import work_cycles, workload
from firstspike_compiler.compile import compile_network
from firstspike_sim.models import prediction
from firstspike_sim.models.golden import GoldenModel
from firstspike_sim.models.prediction import predict_inputs, predict_stimulus
from firstspike_sim.stimulus import random_waits


def test_random_waits_stall_words_and_results_for_every_number_of_cycles():
    words = np.arange(3000)
    plain = Stimulus(words=words, starts=np.arange(1001) * 3)
    waiting = random_waits(plain, 7)
    assert waiting.words is words and waiting.starts is plain.starts
    assert set(waiting.gaps.tolist()) == set(range(7)) and 0.25 < np.mean(waiting.gaps > 0) < 0.35
    assert set(waiting.sink_stalls.tolist()) == set(range(61)) and len(waiting.sink_stalls) == 1000
    other = random_waits(plain, 7, often=1.0, gap_max=2, stall_max=3)
    assert set(other.gaps.tolist()) == {1, 2} and set(other.sink_stalls.tolist()) == {0, 1, 2, 3}
    assert random_waits(plain, 8).gaps.tolist() != waiting.gaps.tolist() == random_waits(plain, 7).gaps.tolist()


def test_values_are_computed_once_with_waits_too(alive_programs, monkeypatch):
    (program, inputs), = alive_programs(300, 1)
    runs = []

    class Counted(GoldenModel):
        def run(self, given, **options):
            runs.append(len(given))
            return super().run(given, **options)

    plain = predict_inputs(program, inputs)
    monkeypatch.setattr(prediction, "GoldenModel", Counted)
    waiting = predict_inputs(program, inputs, waits=5)
    assert runs == [len(inputs)]
    wanted = predict_stimulus(program, inputs, random_waits(plain.stimulus, 5))
    assert waiting.stimulus.gaps.tolist() == wanted.stimulus.gaps.tolist() and waiting.stimulus.gaps.any()
    assert waiting.trace.taken.tolist() == wanted.trace.taken.tolist() != plain.trace.taken.tolist()


def test_results_come_at_the_pace_of_the_slowest_layer_from_the_first_on():
    random, net = np.random.default_rng(2), NetworkBuilder(12, steps=2, readout="spike_count")
    for neurons, before in ((12, 12), (12, 12), (30, 12), (4, 30)):
        net.layer(random.integers(-3, 6, (neurons, before)), theta=5)
    program = compile_network(net.build(), lanes=[12, 12, 1, 4]).program
    prediction = predict_inputs(program, (random.random((6, 2, 12)) < 0.5).astype(np.uint8))
    trace, slow = prediction.trace, program.cores[2]
    busy = work_cycles(slow, workload(slow, prediction.golden.spikes))
    assert (trace.intervals >= busy[1:]).all() and trace.intervals.mean() < 1.1 * busy.mean()
    assert np.diff(trace.accepted[prediction.stimulus.starts[:-1]]).min() < busy.min() / 2
