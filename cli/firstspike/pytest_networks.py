# SPDX-License-Identifier: MIT
"""The networks that pytest's configuration lists: one a line, as ``FILE data=DATA [OPTION=VALUE …]``."""

import json
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from firstspike_arch.shown import shown

__all__ = ["Listed", "listed_networks"]


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A network of the list.

    Parameters
    ----------
    name : str
        Name of its tests; that of the file unless given.
    file, data, split : str
    limit : int or None
        Most inputs; None: all.
    backends, waits : list or None
        Simulators and seeds of this network; None: those of all.
    options : dict
        Options of the compiler and of the file.
    """

    name: str
    file: str
    data: str
    split: str = "test"
    limit: int | None = None
    backends: list[str] | None = None
    waits: list[int | str | None] | None = None
    options: dict[str, Any]


_OWN: dict[str, tuple[type, ...]] = {"name": (str,), "data": (str,), "split": (str,), "limit": (int,),
                                     "backends": (str,), "waits": (str, int, list)}
"""Options that are not the compiler's, with the types that they may have."""

_WORDS = {str: "a text", int: "a number", list: "a list"}


def listed_networks(lines: Iterable[str]) -> list[Listed]:
    """Read the lines; values are JSON (``8``, ``true``, ``[8,4]``), or else text.

    Raises
    ------
    ValueError
        A line is not of the form, or two networks have one name.
    """
    found: dict[str, Listed] = {}
    for line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        one = _listed(line)
        if one.name in found:
            raise ValueError(f"{one.name} must be listed once, or with different names: give name=NAME")
        found[one.name] = one
    return list(found.values())


def _listed(line: str) -> Listed:
    try:
        file, *parts = shlex.split(line)
    except ValueError as error:
        raise ValueError(f"{shown(line)} must be FILE data=DATA [OPTION=VALUE …]: {error}") from None
    options: dict[str, Any] = {}
    for part in parts:
        name, given, text = part.partition("=")
        if not given or not name.isidentifier():
            raise ValueError(f"{shown(line)} must have OPTION=VALUE behind the file, not {shown(part)}")
        if name in options:
            raise ValueError(f"{shown(line)} must have {name} once")
        options[name] = _value(text)
    own = {name: options.pop(name) for name in _OWN if name in options}
    for name, value in own.items():
        if not isinstance(value, _OWN[name]) or isinstance(value, bool):
            kinds = " or ".join(_WORDS[kind] for kind in _OWN[name])
            raise ValueError(f"{shown(line)} must have {kinds} as {name}, not {shown(value)}")
        if name in ("backends", "waits") and not isinstance(value, list):
            own[name] = str(value).split(",")
    if "data" not in own:
        raise ValueError(f"{shown(line)} must have data=DATA: a data set, a .npy or a .npz file")
    if own.get("limit", 1) < 1:
        raise ValueError(f"{shown(line)} must have a limit of at least 1, not {own['limit']}")
    return Listed(**{"name": file, **own}, file=file, options=options)


def _value(text: str) -> Any:
    """Read JSON, or keep the text: a word needs no quotes."""
    try:
        return json.loads(text)
    except ValueError:
        return text
