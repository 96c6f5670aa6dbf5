# SPDX-License-Identifier: MIT
"""Reading of plain values, as JSON and TOML hold them, into dataclasses, with checked types and clear messages."""

from collections.abc import Iterable
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, NotRequired, TypeVar, get_args, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, to_json
from typing_extensions import TypedDict

from .shown import shortened, shown

__all__ = ["decode", "read_fields"]

Made = TypeVar("Made")
_UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")


def decode(kind: type[Made], plain: Any) -> Made:
    """Make an instance of the dataclass ``kind`` from a table of plain values; see `read_fields`."""
    return kind(**read_fields(kind, plain))


def read_fields(kind: type, plain: Any, names: Iterable[str] | None = None) -> dict[str, Any]:
    """Read arguments of the dataclass ``kind`` from a table of plain values; lists become tuples, tables dataclasses.

    Nothing is converted silently: a number is not read from a string or a truth value, and must be finite.

    Parameters
    ----------
    names : iterable of str
        Fields to read; missing ones get their defaults. None: all fields, and any other key is an error.

    Raises
    ------
    ValueError
        A value is wrong, missing or unknown; the message names the field.
    """
    try:
        # In strict mode a Python list is not accepted as a tuple, but a JSON array is.
        return _adapter(kind, None if names is None else tuple(names)).validate_json(
            to_json(plain, inf_nan_mode="constants"))
    except ValidationError as error:
        # Report a misspelt key before the key that is missing because of it.
        raise ValueError(_sentence(min(error.errors(), key=lambda one: one["type"] not in _UNKNOWN), kind)) from None


@cache
def _adapter(kind: type, names: tuple[str, ...] | None) -> TypeAdapter[dict[str, Any]]:
    hints, known = get_type_hints(kind, include_extras=True), {item.name: item for item in fields(kind)}
    optional = {name for name, item in known.items()
                if item.default is not MISSING or item.default_factory is not MISSING}
    taken = {name: NotRequired[hints[name]] if name in optional else hints[name] for name in names or known}
    # The dataclass itself would not do: some of its fields may be arrays, which come from elsewhere.
    table: Any = TypedDict(kind.__name__, taken)  # pyright: ignore - made at run time
    table.__pydantic_config__ = ConfigDict(
        strict=True, allow_inf_nan=False, extra="forbid" if names is None else "ignore",
        arbitrary_types_allowed=True)  # arrays, which no table in a file holds
    return TypeAdapter(table)


def _sentence(error: ErrorDetails, kind: type) -> str:
    """Describe in one sentence what is wrong with a value, named by its place in the table."""
    context = error.get("ctx", {})
    if "error" in context:  # a rule of the dataclass itself, whose message names the field
        return str(context["error"])
    parents, place = _walk(kind, error["loc"])
    match error["type"]:
        case "missing":
            return f"{place} must be given"
        case unknown if unknown in _UNKNOWN:
            return f"{place} is not known; known here: {', '.join(item.name for item in fields(parents[-2]))}"
        case "union_tag_not_found":
            return f"{place}.kind must be given: {', '.join(_members(parents[-1]))}"
        case "union_tag_invalid":
            return f"{place}.kind must be {' or '.join(map(repr, _members(parents[-1])))}, not {shown(context['tag'])}"
    rule = error["msg"].replace("Input should be an object", "Input should be a table").removeprefix("Input should be ")
    return f"{place} must be {rule}, not {shown(error['input'])}".lstrip()


def _walk(kind: Any, location: tuple[int | str, ...]) -> tuple[list[Any], str]:
    """Return the types on the path from the table to a value, and the path's name, without members of unions."""
    parents, name = [kind], ""
    for part in location:
        kind = parents[-1]
        if part in (known := _members(kind)):
            parents.append(known[part])
            continue
        name += f"[{part}]" if isinstance(part, int) else f".{shortened(part)}" if name else shortened(part)
        parents.append(get_type_hints(kind).get(str(part)) if is_dataclass(kind) else None)
    return parents, name


def _members(union: Any) -> dict[Any, Any]:
    """Return the members of a union by their names in locations: a dataclass's literal ``kind``, else its own name."""
    found = {}
    for one in get_args(union):
        kind = get_args(get_type_hints(one).get("kind")) if is_dataclass(one) else ()
        found[kind[0] if kind else getattr(one, "__name__", None)] = one
    return found
