# SPDX-License-Identifier: MIT
"""Choices that no layer could have are refused, by name."""

import pytest
from firstspike_arch.array import ArrayConfig
from firstspike_arch.layer_options import LayerOptions

FITTING = {"lanes": 4, "membrane_bits": 12}


@pytest.mark.parametrize(("changes", "sentence"), [
    ({"lanes": 0}, "lanes must be at least 1, not 0"),
    ({"membrane_bits": 1}, "membrane_bits must be 2…48, not 1"),
    ({"membrane_bits": 49}, "membrane_bits must be 2…48, not 49"),
    ({"register_rows": 1}, "register_rows must be at least 2, not 1"),
])
def test_options_of_a_layer(changes, sentence):
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        LayerOptions(**{**FITTING, **changes})


@pytest.mark.parametrize(("changes", "sentence"), [
    ({"port": "pixels"}, "port must be 'events' or 'image', not 'pixels'"),
    ({"winner": "vote"}, "winner must be 'tree' or 'scan', not 'vote'"),
    *(({name: "yes"}, f"{name} must be true or false, not 'yes'") for name in ("early_exit", "read_back", "ordered")),
    ({"timeout": -1}, r"timeout must be 1…2\^32 − 1 cycles, or 0 for none, not -1"),
    ({"timeout": True}, r"timeout must be 1…2\^32 − 1 cycles, or 0 for none, not True"),
])
def test_options_of_the_array(changes, sentence):
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        ArrayConfig(layers=(LayerOptions(**FITTING),), **changes)
