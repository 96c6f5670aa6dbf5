# SPDX-License-Identifier: MIT
"""Options of a compilation as plain values, as JSON holds them, and back."""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, fields, is_dataclass
from typing import Any

import numpy as np
from firstspike_arch.plain import read_fields
from firstspike_arch.shown import shown

from .options import Options

__all__ = ["from_plain", "to_plain"]


def to_plain(options: Options) -> dict[str, Any]:
    """Return the options that differ from their defaults, by name; arrays and tuples are lists, dataclasses tables."""
    given = {one.name: getattr(options, one.name) for one in fields(Options)}
    return {one.name: _plain(given[one.name]) for one in fields(Options)
            if one.default is MISSING or given[one.name] is not one.default}


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return [_plain(one) for one in value] if isinstance(value, Sequence) and not isinstance(value, str) else value


def from_plain(plain: Any) -> dict[str, Any]:
    """Return options of `compile_network` that `to_plain` wrote.

    Raises
    ------
    ValueError
        An option is unknown or no such value; the message names it.
    """
    known = [one.name for one in fields(Options) if one.name != "powers"]
    if not isinstance(plain, Mapping) or not {*plain} <= {*known, "powers"}:
        raise ValueError(f"options must be a table of {', '.join(known)}, not {shown(plain)}")
    options = read_fields(Options, plain, known)
    if plain.get("powers") is not None:  # arrays, which no table holds
        try:
            options["powers"] = [[np.array(one, dtype=np.float64) for one in sets] for sets in plain["powers"]]
        except (TypeError, ValueError):
            raise ValueError(f"powers must be arrays of numbers, not {shown(plain['powers'])}") from None
    return options
