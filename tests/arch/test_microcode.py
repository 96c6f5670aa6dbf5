# SPDX-License-Identifier: MIT
"""The passes of every kind of neuron."""

from typing import Any

import numpy as np
import pytest
from firstspike_arch.connectivity import Conv2d, Window
from firstspike_arch.microcode import Microcode, RowOp, microcode_of
from firstspike_arch.network import Layer, Neuron

LEAK: dict[str, Any] = {"leak_num": 7, "leak_shift": 3}
SLOW: dict[str, Any] = {"leak_num": 13, "leak_shift": 4}
BIAS: dict[str, Any] = {"bias": np.array([3, -2])}


def code_of(
    *, levels: int = 1, static: bool = False, steps: int = 4, in_one_row: bool = False, multiplies_leaks: bool = False,
    **neuron: Any,
) -> Microcode:
    """The microcode of two neurons with thresholds 10, 20, …, of five weight bits."""
    values: dict[str, Any] = {"bias": np.zeros(2, int), "theta": np.array([range(10, 10 * levels + 1, 10)] * 2),
              "v_init": np.zeros(2, int)}
    layer = Layer(name="tried", weights=np.ones((2, 3), int), weight_bits=5, neuron=Neuron(**{**values, **neuron}))
    return microcode_of(layer, static=static, steps_max=steps, in_one_row=in_one_row,
                        multiplies_leaks=multiplies_leaks)


def said(op: RowOp) -> str:
    """A pass in words, with the constants of the first channel."""
    words = [op.act if op.act != "add" else "+", op.operand]
    if op.operand == "constant" and op.values is not None:
        words[-1] = str(op.values.T[0].tolist() if op.by_level else int(op.values[0]))
    elif op.operand == "product" and op.values is not None:
        words[-1] = f"{op.values[0]}/{1 << op.index} of it"
    elif op.operand in ("weight", "leak", "sum"):
        words[-1] += f" {op.index}"
    if op.base is not None:
        words.append(f"from {op.base[0]} if {op.when}")
    words += ["halved"] * op.halve + ["toward 0"] * op.toward_zero
    return " ".join(words + ["into the current"] * (op.store == "current"))


@pytest.mark.parametrize(("options", "step", "final"), [
    ({}, ["+ [0, -10]"], ["init weight 0 from -10 if always"]),
    (BIAS, ["+ [0, -10]", "+ weight 0"], ["init weight 0 from -10 if always"]),
    ({"reset": "none"}, ["+ weight 0"], ["init weight 0 from -10 if always"]),  # a row of zeros: the spikes leave
    ({"single_spike": True, **BIAS}, ["+ weight 0"], ["init weight 0 from -10 if always"]),
    ({"levels": 4}, ["+ [0, -10, -20, -30, -40]"], ["init weight 0 from -10 if always"]),
    (LEAK, ["+ [9, -1]", "+ leak 3", "+ -9"], ["init weight 0 from -10 if always"]),
    ({**LEAK, **BIAS, "levels": 2}, ["+ [9, -1, -11]", "+ leak 3", "+ -9", "+ weight 0"],
     ["init weight 0 from -10 if always"]),
    ({**LEAK, "reset_delay": True}, ["+ 9", "+ leak 3", "+ [-9, -19]"], ["init weight 0 from -10 if always"]),
    (SLOW, ["save [10, 0] halved", "+ zero halved", "+ shadow halved", "+ shadow halved", "+ -10"],
     ["init weight 0 from -10 if always"]),
    ({**LEAK, "leak_toward_zero": True}, ["+ [10, 0]", "+ leak 3 toward 0", "+ -10"],
     ["init weight 0 from -10 if always"]),
    ({**SLOW, "leak_toward_zero": True},
     ["save [10, 0]", "+ shadow halved toward 0", "+ zero halved toward 0", "+ shadow halved toward 0",
      "+ shadow halved toward 0", "+ -10"],
     ["init weight 0 from -10 if always"]),
    ({"leak_num": np.array([3, 2]), "leak_shift": 3},
     ["save [10, 0]", "+ shadow halved", "+ shadow halved", "+ zero halved", "+ -10"],
     ["init weight 0 from -10 if always"]),
    # A multiplication saves passes where there are more than two, the first of which there is anyway.
    ({**SLOW, "multiplies_leaks": True}, ["+ [10, 0]", "load 13/16 of it", "+ -10"],
     ["init weight 0 from -10 if always"]),
    ({**SLOW, "multiplies_leaks": True, "in_one_row": True, "reset": "zero", "leak_toward_zero": True},
     ["+ 10 from -10 if spiked", "load 13/16 of it toward 0", "+ -10"], ["init zero from -10 if always"]),
    ({"leak_num": 1, "leak_shift": 2, "multiplies_leaks": True}, ["save [10, 0] halved", "+ zero halved", "+ -10"],
     ["init weight 0 from -10 if always"]),
    ({**LEAK, "multiplies_leaks": True}, ["+ [9, -1]", "+ leak 3", "+ -9"], ["init weight 0 from -10 if always"]),
    ({"leak_num": 0, "leak_shift": 1}, ["+ weight 0 from -10 if always"], ["init weight 0 from -10 if always"]),
    ({"reset": "zero"}, ["+ weight 0 from -10 if spiked"], ["init weight 0 from -10 if always"]),
    ({"reset": "zero", "v_reset": np.array([4, 4]), **BIAS}, ["+ weight 0 from -6 if spiked"],
     ["init weight 0 from -10 if always"]),
    ({"reset": "zero", **LEAK}, ["+ 9 from -10 if spiked", "+ leak 3", "+ -9"], ["init weight 0 from -10 if always"]),
    ({"reset": "zero", "reset_delay": True, **LEAK}, ["+ 9", "+ leak 3", "+ -9 from -1 if spiked"],
     ["init weight 0 from -10 if always"]),
    ({"v_min": -5}, ["+ [15, 5]", "+ -15 from 0 if negative"], ["init weight 0 from -10 if always"]),
    ({"v_min": -5, "v_max": 30, **LEAK},
     ["+ [15, 5]", "+ -35 from 0 if negative", "+ 29 from 0 if nonnegative", "+ leak 3", "+ -9"],
     ["init weight 0 from -10 if always"]),
    # A bias beyond its rows of weights is a constant, which costs no pass beside another.
    ({"bias": np.array([400, 0]), **LEAK}, ["+ [9, -1]", "+ leak 3", "+ 391"], ["init weight 0 from 390 if always"]),
    ({"bias": np.array([400, 0])}, ["+ [400, 390]"], ["init weight 0 from 390 if always"]),
    ({"bias": np.array([3, 0]), "bias_once": True, "reset": "none"}, ["+ weight 0"],
     ["init weight 0 from -7 if always"]),
    ({"steps": 1, **LEAK, **BIAS}, [], ["init weight 0 from -10 if always"]),
    # A current takes the constants of every step.
    ({"static": True, **LEAK, "levels": 4}, ["+ [9, -1, -11, -21, -31]", "+ leak 3", "+ current"],
     ["init zero from -1 if always"]),
    ({"static": True, **BIAS}, ["+ [0, -10]", "+ current"],
     ["init zero from -10 if always", "+ weight 0 into the current"]),
    ({"static": True, "bias": np.array([400, 0]), "single_spike": True}, ["+ current"],
     ["init zero from -10 if always"]),
    ({"static": True, "single_spike": True, "theta_fall": np.array([0, 2, 5])}, ["+ fall"],
     ["init zero from -10 if always"]),
    # In one row an operand chosen by the spike would wait for it.
    ({"in_one_row": True, **BIAS}, ["+ [0, -10]", "+ weight 0"], ["init zero from -10 if always", "+ weight 0"]),
    ({"in_one_row": True, **LEAK}, ["+ [0, -10]", "+ 9", "+ leak 3", "+ -9"], ["init zero from -10 if always"]),
    ({"in_one_row": True, **LEAK, "levels": 2}, ["+ [9, -1, -11]", "+ leak 3", "+ -9"],
     ["init zero from -10 if always"]),
    ({"in_one_row": True, "reset": "zero", **BIAS}, ["+ zero from -10 if spiked", "+ weight 0"],
     ["init zero from -10 if always", "+ weight 0"]),
])
def test_the_passes_of_a_neuron(options, step, final):
    code = code_of(**options)
    assert ([said(op) for op in code.step], [said(op) for op in code.final]) == (step, final)


def test_a_pool_of_the_currents_of_a_direct_input_adds_its_constants_once():
    synapses = Conv2d(in_shape=(1, 4, 4), channels=2, kernel=(1, 1))
    neuron = Neuron(bias=np.array([1, 2]), theta=np.array([10, 10]), v_init=np.zeros(2, int), **LEAK)
    layer = Layer(name="tried", weights=np.ones((2, 1, 1, 1), int), weight_bits=5, connectivity=synapses, neuron=neuron,
                  current_pool=Window(kernel=(1, 2), stride=(1, 2)))
    code = microcode_of(layer, static=True, steps_max=3)
    assert [said(op) for op in code.start] == [
        "load sum 0 into the current", "max sum 1 into the current", "+ weight 0 into the current",
        "+ -9 into the current", "+ current"]
    assert [said(op) for op in code.step] == ["+ [9, -1]", "+ leak 3", "+ current"]
    assert [said(op) for op in code.final] == ["init zero from -1 if always"] and not code.current.any()


def test_a_current_holds_the_constants_from_the_beginning():
    assert code_of(static=True, **LEAK).current.tolist() == [-9, -9]
    assert code_of(static=True, bias=np.array([400, 0]), **LEAK).current.tolist() == [391, -9]
    assert not code_of(**LEAK).current.any()


@pytest.mark.parametrize(("options", "waits"), [
    ({"levels": 2}, [True]), ({"levels": 2, **LEAK}, [True, False, False]), (LEAK, [False, False, False, False]),
    ({"levels": 2, "reset_delay": True, "leak_num": 0}, [False, True]),
    (SLOW, [False, False, True, False, False, False]),
])
def test_passes_in_one_row_wait_for_what_the_pass_before_writes(options, waits):
    assert [op.settle for op in code_of(in_one_row=True, **options).step] == waits


@pytest.mark.parametrize(("options", "sentence"), [
    ({"operand": "constant"},
     "operand 'constant': values must be given for 'constant', 'fall' and 'product', and no other"),
    ({"values": np.zeros(1, np.int64)},
     "operand 'zero': values must be given for 'constant', 'fall' and 'product', and no other"),
    ({"channels": np.ones(1, bool)}, "operand 'zero': channels must be given for 'leak', 'decay' and 'shadow' only"),
    ({"when": "spiked"}, "when 'spiked': base must be given unless when is 'never'"),
    ({"base": np.zeros(1, np.int64)}, "when 'never': base must be given unless when is 'never'"),
])
def test_a_pass_has_what_it_needs_and_no_more(options, sentence):
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        RowOp(act="add", **options)
