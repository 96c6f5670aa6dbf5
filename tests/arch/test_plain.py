# SPDX-License-Identifier: MIT
"""Tables of plain values become dataclasses, or a sentence that names the field."""

import re
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import pytest
from firstspike_arch.plain import decode, read_fields
from pydantic import Discriminator


@dataclass(frozen=True)
class Circle:
    kind: Literal["circle"]
    radius: float

    def __post_init__(self) -> None:
        if self.radius < 0:
            raise ValueError(f"shape.radius must not be negative, not {self.radius}")


@dataclass(frozen=True)
class Square:
    kind: Literal["square"]
    side: float = 1.0


@dataclass(frozen=True)
class Kind:
    count: int
    name: Literal["one", "two"] = "one"
    scale: float = 1.0
    size: tuple[int, int] = (1, 1)
    weights: tuple[int, ...] = ()
    limit: float | None = None
    shares: dict[str, float] | None = None
    on: bool = False
    shape: Annotated[Circle | Square, Discriminator("kind")] = Square("square")


@dataclass(frozen=True)
class Layer:
    weight: np.ndarray
    bits: int
    scale: float | np.ndarray = 1.0


def test_lists_and_tables_become_what_the_fields_are_and_what_is_missing_gets_its_default():
    assert decode(Kind, {"count": 3}) == Kind(count=3)
    plain = {"count": 3, "name": "two", "scale": 2, "size": [4, 5], "weights": [3, 2, 1], "limit": None,
             "shares": {"test": 0.5}, "on": True, "shape": {"kind": "circle", "radius": 2}}
    assert decode(Kind, plain) == Kind(**{
        **plain, "size": (4, 5), "weights": (3, 2, 1), "shape": Circle("circle", 2.0)})


def test_only_the_fields_that_are_asked_for():
    assert read_fields(Kind, {"count": 3, "size": "wrong", "other": 1}, ["count", "scale"]) == {"count": 3}
    assert read_fields(Layer, {"bits": 3}, ["bits"]) == {"bits": 3}


@pytest.mark.parametrize(("plain", "sentence"), [
    ([], "must be a table, not []"),
    (None, "must be a table, not None"),
    ({"count": 1, "also": 3}, "also is not known; known here: count, name, scale, size, weights, limit, shares, on, "
                              "shape"),
    ({"name": "one"}, "count must be given"),
    ({"counts": 1}, "counts is not known; known here: count, name, scale, size, weights, limit, shares, on, shape"),
    ({"count": 1.0}, "count must be a valid integer, not 1.0"),
    ({"count": True}, "count must be a valid integer, not True"),
    ({"count": "1"}, "count must be a valid integer, not '1'"),
    ({"count": 1, "name": "three"}, "name must be 'one' or 'two', not 'three'"),
    ({"count": 1, "scale": "1"}, "scale must be a valid number, not '1'"),
    ({"count": 1, "scale": float("nan")}, "scale must be a finite number, not nan"),
    ({"count": 1, "scale": True}, "scale must be a valid number, not True"),
    ({"count": 1, "size": [1]}, "size[1] must be given"),
    ({"count": 1, "size": [1, "2"]}, "size[1] must be a valid integer, not '2'"),
    ({"count": 1, "weights": [1, 2.5]}, "weights[1] must be a valid integer, not 2.5"),
    ({"count": 1, "weights": 4}, "weights must be a valid array, not 4"),
    ({"count": 1, "limit": "none"}, "limit must be a valid number, not 'none'"),
    ({"count": 1, "shares": {"test": "half"}}, "shares.test must be a valid number, not 'half'"),
    ({"count": 1, "shares": 1}, "shares must be a table, not 1"),
    ({"count": 1, "on": 1}, "on must be a valid boolean, not 1"),
    ({"count": 1, "shape": {"kind": "circle"}}, "shape.radius must be given"),
    ({"count": 1, "shape": {"kind": "circle", "radius": -1}}, "shape.radius must not be negative, not -1.0"),
    ({"count": 1, "shape": {"kind": "square", "sides": 1}}, "shape.sides is not known; known here: kind, side"),
    ({"count": 1, "shape": {"kind": "line"}}, "shape.kind must be 'circle' or 'square', not 'line'"),
    ({"count": 1, "shape": {}}, "shape.kind must be given: circle, square"),
    ({"count": 1, "shape": 3}, "shape must be a table, not 3"),
])
def test_a_wrong_value_is_named(plain, sentence):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        decode(Kind, plain)


def test_an_array_comes_from_elsewhere():
    with pytest.raises(ValueError, match=r"^scale must be a valid number, not \[1\]$"):
        read_fields(Layer, {"bits": 3, "scale": [1]}, ["bits", "scale"])


def nested(depth: int) -> list:
    """A list in a list in a list, …"""
    found: list = []
    for _ in range(depth):
        found = [found]
    return found


VALUES = [None, True, 0, -1.5, 1 << 80, float("inf"), "", "one", [], [1, 2], [[]], {}, {"a": 1}, {"kind": "square"},
          nested(20)]


@pytest.mark.parametrize(("name", "taken"), [
    ("count", [0, 1 << 80]), ("name", ["one"]), ("scale", [0, -1.5, 1 << 80]), ("size", [[1, 2]]),
    ("weights", [[], [1, 2]]), ("limit", [None, 0, -1.5, 1 << 80]), ("shares", [None, {}, {"a": 1}]), ("on", [True]),
    ("shape", [{"kind": "square"}]),
])
def test_of_all_values_of_json_a_field_takes_its_own_and_names_itself_otherwise(name, taken):
    found = []
    for value in VALUES:
        try:
            decode(Kind, {"count": 1, name: value})
        except ValueError as error:
            assert re.match(rf"{name}(\.\w+|\[\d+\])? (must|is not) [^\n]+$", str(error)), str(error)[:200]
        else:
            found.append(value)
    assert found == taken


@pytest.mark.parametrize(("value", "reason"), [("\ud800", "surrogates not allowed"), (nested(2000), "depth exceeded")])
def test_what_no_reader_of_json_takes_is_refused(value, reason):
    with pytest.raises(ValueError, match=reason):
        decode(Kind, {"count": 1, "name": value})
