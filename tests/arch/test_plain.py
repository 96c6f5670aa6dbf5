# SPDX-License-Identifier: MIT
"""Tables of plain values become arguments of a dataclass, or a sentence that names the field."""

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pytest
from firstspike_arch.plain import fits, read_fields


@dataclass
class Kind:
    count: int
    name: Literal["one", "two"] = "one"
    scale: float = 1.0
    size: tuple[int, int] = (1, 1)
    weights: tuple[int, ...] = ()
    limit: float | None = None
    shares: dict[str, float] | None = None
    on: bool = False


def test_lists_become_tuples_and_what_is_missing_gets_its_default():
    assert read_fields(Kind, {"count": 3}) == {"count": 3}
    plain = {"count": 3, "name": "two", "scale": 2, "size": [4, 5], "weights": [3, 2, 1], "limit": None,
             "shares": {"test": 0.5}, "on": True}
    assert read_fields(Kind, plain) == {**plain, "size": (4, 5), "weights": (3, 2, 1)}
    assert Kind(**read_fields(Kind, plain)).weights == (3, 2, 1)


def test_only_the_fields_that_are_asked_for():
    assert read_fields(Kind, {"count": 3, "size": "wrong", "other": 1}, ["count", "scale"]) == {"count": 3}


@pytest.mark.parametrize(("plain", "sentence"), [
    ([], "must be a table of fields, not []"),
    (None, "must be a table of fields, not None"),
    ({"count": 1, "kind": 2, "also": 3}, "must have the fields ['count', 'limit', 'name', 'on', 'scale', 'shares', "
                                         "'size', 'weights'], not ['also', 'kind']"),
    ({"name": "one"}, "count must be there, but is missing"),
    ({"count": 1.0}, "count must be <class 'int'>, not 1.0"),
    ({"count": True}, "count must be <class 'int'>, not True"),
    ({"count": 1, "name": "three"}, "name must be typing.Literal['one', 'two'], not 'three'"),
    ({"count": 1, "scale": "1"}, "scale must be <class 'float'>, not '1'"),
    ({"count": 1, "scale": float("nan")}, "scale must be <class 'float'>, not nan"),
    ({"count": 1, "scale": True}, "scale must be <class 'float'>, not True"),
    ({"count": 1, "size": [1]}, "size must be tuple[int, int], not [1]"),
    ({"count": 1, "size": [1, "2"]}, "size must be tuple[int, int], not [1, '2']"),
    ({"count": 1, "weights": [1, 2.5]}, "weights must be tuple[int, ...], not [1, 2.5]"),
    ({"count": 1, "weights": 4}, "weights must be tuple[int, ...], not 4"),
    ({"count": 1, "limit": "none"}, "limit must be float | None, not 'none'"),
    ({"count": 1, "shares": {"test": "half"}}, "shares must be dict[str, float] | None, not {'test': 'half'}"),
    ({"count": 1, "on": 1}, "on must be <class 'bool'>, not 1"),
])
def test_a_wrong_value_is_named(plain, sentence):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        read_fields(Kind, plain)


def test_no_value_of_json_raises():
    values = [None, True, 0, -1.5, float("inf"), "", "one", [], [1, 2], [[]], {}, {"a": 1}, {"a": []}]
    for hint in (int, float, str, bool, dict, list, tuple[int, ...], tuple[int, int], dict[str, float],
                 Literal["one", "two"], float | None, np.ndarray):
        assert all(fits(value, hint) in (True, False) for value in values)
