# SPDX-License-Identifier: MIT
"""Inputs of any type and shape: either the same numbers, or one sentence."""

import warnings

import firstspike as fs
import numpy as np
import pytest
import torch
from firstspike_sim.inputs import check_inputs

STEPS, SHAPE = 3, (2, 3, 2)
KINDS = {"latency": {}, "events": {"in_max": 9}, "direct": {"in_min": -3, "in_max": 9}}


def program_of(kind):
    builder = fs.NetworkBuilder(SHAPE, steps=STEPS, readout="spike_count", input_kind=kind, **KINDS[kind])
    builder.layer(np.random.default_rng(0).integers(-3, 8, (4, 12)), theta=9)
    return fs.compile(builder.build()).program


PROGRAMS = {kind: program_of(kind) for kind in KINDS}


def numbers(kind):
    shape = (2, STEPS, *SHAPE) if kind == "events" else (2, *SHAPE)
    return np.random.default_rng(1).integers(0, 10, shape).astype(np.uint8)


FORMS = {
    "uint8": lambda x: x, "torch": torch.tensor, "a list": lambda x: x.tolist(), "bool": lambda x: x > 4,
    "uint16": lambda x: x.astype(np.uint16), "uint64": lambda x: x.astype(np.uint64), "int8": lambda x: x.astype("i1"),
    "big endian": lambda x: x.astype(">i4"), "backwards": lambda x: np.ascontiguousarray(x[::-1])[::-1],
    "read only": lambda x: np.broadcast_to(x, x.shape), "torch uint32": lambda x: torch.tensor(x.astype(np.uint32)),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_integers_of_every_type_mean_the_same(kind, form):
    if kind == "latency" and form not in ("uint8", "torch", "backwards", "read only"):
        return
    program, plain = PROGRAMS[kind], numbers(kind)
    flat, given = plain.reshape(*plain.shape[:-3], -1), FORMS[form](plain)
    wanted = fs.infer(program, np.asarray(FORMS[form](flat)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = fs.infer(program, given)
    np.testing.assert_array_equal(found.scores, wanted.scores)
    assert np.ptp(found.scores) > 0
    np.testing.assert_array_equal(fs.estimate(program, given).scores, wanted.scores)
    np.testing.assert_array_equal(check_inputs(program.network, given), np.asarray(FORMS[form](flat)))


@pytest.mark.parametrize(("kind", "make", "sentence"), [
    ("events", lambda x: x.astype(float),
     "inputs must be integers, not float64: these are whole, and can be converted"),
    ("events", lambda x: torch.tensor(x).to(torch.bfloat16).requires_grad_(),
     "inputs must be integers, not float32: these are whole, and can be converted"),
    ("direct", lambda x: x + 0.5,
     "inputs must be integers, not float64: real numbers are whole multiples of input_scale"),
    ("direct", lambda x: np.where(x > 4, np.inf, x),
     "inputs must be integers, not float64: real numbers are whole multiples of input_scale"),
    ("direct", lambda x: x.astype(complex),
     "inputs must be integers, not complex128: real numbers are whole multiples of input_scale"),
    ("events", lambda x: x.astype(str), "inputs must be an array of integers, not of <U3"),
    ("events", lambda x: x.astype(object), "inputs must be an array of integers, not of object"),
    ("direct", lambda x: None, "inputs must be an array of integers, not of object"),
    ("direct", lambda x: [[1, 2], [3]],
     "inputs must be an array of integers: setting an array element with a sequence"),
    ("events", lambda x: np.full(x.shape, 1 << 40), "inputs must be spike counts 0…9, not 1099511627776…1099511627776"),
    ("direct", lambda x: np.full(x.shape, (1 << 64) - 1, np.uint64),
     "inputs must be numbers -3…9, not 18446744073709551615…18446744073709551615"),
    ("latency", lambda x: x.astype(np.uint16).reshape(2, 12),
     "inputs must be uint8 images of shape (batch, 12), not uint16 of shape (2, 12)"),
    ("latency", lambda x: x[0, 0, 0, 0], "inputs must be uint8 images of shape (batch, 12), not uint8 of shape ()"),
    ("events", lambda x: x[0], "inputs must be spike counts of shape (batch, 1…3 steps, 12), not (3, 2, 3, 2)"),
    ("direct", lambda x: x[0], "inputs must have shape (batch, 12), not (2, 3, 2)"),
])
def test_anything_else_is_one_sentence(kind, make, sentence):
    for run in (fs.infer, fs.estimate, lambda program, inputs: fs.verify(program, inputs, backend="pysim"),
                lambda program, inputs: fs.simulate(program, inputs, backend="pysim")):
        with pytest.raises(ValueError) as refusal:
            run(PROGRAMS[kind], make(numbers(kind)))
        assert str(refusal.value) == sentence


def test_the_range_ends_with_its_last_number():
    for kind, low, high in (("events", 0, 9), ("direct", -3, 9)):
        network, given = PROGRAMS[kind].network, numbers(kind).astype(np.int16)
        for edge in (low, high):
            given.flat[5] = edge
            assert check_inputs(network, given).reshape(given.shape).tolist() == given.tolist()
        for wrong in (low - 1, high + 1):
            given.flat[5] = wrong
            with pytest.raises(ValueError, match=rf"^inputs must be .* {low}…{high}, not "):
                check_inputs(network, given)


@pytest.mark.parametrize("kind", KINDS)
def test_no_inference_has_no_cycles(kind):
    none = numbers(kind)[:0]
    assert fs.infer(PROGRAMS[kind], none).scores.shape == (0, 4)
    shape = none.reshape(*none.shape[:-3], 12).shape
    for run in (fs.estimate, lambda program, inputs: fs.verify(program, inputs, backend="pysim")):
        with pytest.raises(ValueError) as refusal:
            run(PROGRAMS[kind], none)
        assert str(refusal.value) == f"inputs must be at least one inference, not none, of shape {shape}"


def test_one_inference_of_one_step_is_no_map():
    builder = fs.NetworkBuilder((1, 1, 4), steps=1, readout="spike_count")
    builder.layer(np.ones((2, 4)), theta=1)
    program = fs.compile(builder.build()).program
    assert fs.infer(program, np.ones((1, 1, 4), int)).scores.tolist() == [[1, 1]]
