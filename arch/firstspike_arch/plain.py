# SPDX-License-Identifier: MIT
"""What JSON can say about a frozen dataclass, and back, with every value checked against its annotation."""

import math
import types
from collections.abc import Iterable
from dataclasses import MISSING, fields
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

__all__ = ["fits", "read_fields"]

Made = TypeVar("Made")


def read_fields(kind: type[Made], plain: Any, names: Iterable[str] | None = None) -> dict[str, Any]:
    """Arguments of the dataclass ``kind`` from a table of plain values; lists become tuples.

    Parameters
    ----------
    names : iterable of str
        The fields to take; None: all, and then there may be no others. One that is not there gets its default.

    Raises
    ------
    ValueError
        The sentence names the field.
    """
    if not isinstance(plain, dict):
        raise ValueError(f"must be a table of fields, not {plain!r}")
    hints, known = get_type_hints(kind), {item.name: item for item in fields(kind)}  # pyright: ignore
    if names is None and set(plain) - set(known):
        raise ValueError(f"must have the fields {sorted(known)}, not {sorted(set(plain) - set(known))}")
    values = {}
    for name in known if names is None else names:
        if name not in plain:
            if known[name].default is MISSING and known[name].default_factory is MISSING:
                raise ValueError(f"{name} must be there, but is missing")
            continue
        if not fits(plain[name], hints[name]):
            raise ValueError(f"{name} must be {hints[name]}, not {plain[name]!r}")
        values[name] = tuple(plain[name]) if isinstance(plain[name], list) else plain[name]
    return values


def fits(value: Any, hint: Any) -> bool:
    """Whether a JSON value is of an annotated type (the few kinds that files of this project use)."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return value in arguments
    if origin in (Union, types.UnionType):
        return any(fits(value, argument) for argument in arguments)
    if origin is tuple:
        if not isinstance(value, list):
            return False
        if arguments[-1] is Ellipsis:
            return all(fits(item, arguments[0]) for item in value)
        return len(value) == len(arguments) and all(fits(*pair) for pair in zip(value, arguments, strict=True))
    if origin is dict:
        return isinstance(value, dict) and all(fits(item, arguments[1]) for item in value.values())
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)
