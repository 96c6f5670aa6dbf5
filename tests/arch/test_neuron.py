# SPDX-License-Identifier: MIT
"""The description of neurons: every field says what it holds, for real numbers and integers alike."""

from dataclasses import fields, replace

import numpy as np
import pytest
from firstspike_arch.neuron import FloatNeuron, Neuron, NeuronDescription

ZEROS = np.zeros(2, dtype=np.int64)
NEURON = Neuron(bias=ZEROS, v_init=ZEROS, theta=np.array([[3, 7], [4, 9]]))


def test_real_and_integer_neurons_hold_the_same_kinds_of_numbers():
    assert Neuron.numbers() == FloatNeuron.numbers() == NeuronDescription.numbers()
    kinds = [set(Neuron.numbers(over)) for over in ("channels", "thresholds", "steps", "layer")]
    channels = {"bias", "v_init", "reset_step", "v_reset", "theta_rise"}
    assert kinds == [channels, {"theta"}, {"theta_fall"}, {"v_min", "v_max"}]
    assert set(Neuron.arrays()) == set.union(*kinds[:3])


@pytest.mark.parametrize(("kind", "own"), [
    (FloatNeuron, {"leak", "current_leak", "rise_leak", "strict"}),
    (Neuron, {f"{name}_{part}" for name in ("leak", "current_leak", "rise_leak") for part in ("num", "shift")})])
def test_a_field_is_a_number_an_option_or_of_one_kind(kind, own):
    neuron = NEURON if kind is Neuron else FloatNeuron()
    assert {item.name for item in fields(kind)} == {*kind.numbers(), *neuron.options()} | own


def test_what_is_given_makes_the_same_neuron_again():
    neuron = replace(NEURON, v_reset=np.array([1, -1]), v_min=0, reset="zero", reset_delay=True)
    assert set(neuron.given()) == {"bias", "v_init", "theta", "v_reset", "v_min"}
    again = Neuron(**neuron.given(), **neuron.options(), leak_num=1, leak_shift=0)
    assert vars(again) == vars(neuron)


def test_leaks_that_agree_are_one_number():
    assert Neuron.ratios() == ("leak_num", "current_leak_num", "rise_leak_num")
    assert FloatNeuron.ratios() == ("leak", "current_leak", "rise_leak")
    agree = replace(NEURON, leak_num=np.array([3, 3]), leak_shift=2)
    assert type(agree.leak_num) is int and (agree.leak_num, agree.leak, agree.leaky) == (3, 0.75, True)
    assert type(FloatNeuron(leak=np.array([0.5, 0.5])).leak) is float
    differ = replace(NEURON, leak_num=np.array([3, 4]), leak_shift=2)
    assert differ.leaky and np.array_equal(differ.leak, [0.75, 1])
    assert not replace(NEURON, leak_num=np.array([4, 4]), leak_shift=2).leaky


def test_levels_are_thresholds_of_a_channel():
    assert [FloatNeuron().levels, FloatNeuron(theta=np.ones(3)).levels, NEURON.levels] == [0, 1, 2]
    assert replace(NEURON, theta=np.array([3, 4])).theta.tolist() == [[3], [4]]


@pytest.mark.parametrize(("changes", "after"), [
    ({}, [[0, 1], [0, 1]]),
    ({"reset_step": np.array([1, 5])}, [[2, 5], [-1, -1]]),
    ({"reset": "zero"}, [[0, 0], [0, 0]]),
    ({"reset": "zero", "v_reset": np.array([2, -6])}, [[2, 2], [-6, -6]]),
    ({"reset": "none"}, None), ({"single_spike": True}, None), ({"theta": None}, None),
])
def test_what_a_reset_leaves(changes, after):
    found = replace(NEURON, **changes).after_reset
    assert (None if found is None else found.tolist()) == after
