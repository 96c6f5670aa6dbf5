# SPDX-License-Identifier: MIT
"""Tables of plain values, as JSON and TOML hold them, become arguments of dataclasses, or one sentence says why not."""

from collections.abc import Iterable
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, NotRequired, TypeVar, get_args, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, to_json
from typing_extensions import TypedDict

__all__ = ["decode", "read_fields"]

Made = TypeVar("Made")
_UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")


def decode(kind: type[Made], plain: Any) -> Made:
    """An instance of the dataclass ``kind``; see `read_fields`."""
    return kind(**read_fields(kind, plain))


def read_fields(kind: type, plain: Any, names: Iterable[str] | None = None) -> dict[str, Any]:
    """Arguments of the dataclass ``kind`` from a table of plain values; lists become tuples, tables dataclasses.

    Nothing is converted silently: no number from a string or a truth value, and none that is not finite.

    Parameters
    ----------
    names : iterable of str
        The fields to take; None: all, and then there may be no others. One that is not there gets its default.

    Raises
    ------
    ValueError
        The sentence names the field.
    """
    try:
        # Strict, Python's lists are no tuples, but JSON's are.
        return _adapter(kind, None if names is None else tuple(names)).validate_json(
            to_json(plain, inf_nan_mode="constants"))
    except ValidationError as error:
        # A misspelt key says more than the one that is missing for it.
        raise ValueError(_sentence(min(error.errors(), key=lambda one: one["type"] not in _UNKNOWN), kind)) from None


@cache
def _adapter(kind: type, names: tuple[str, ...] | None) -> TypeAdapter[dict[str, Any]]:
    hints, known = get_type_hints(kind, include_extras=True), {item.name: item for item in fields(kind)}
    optional = {name for name, item in known.items()
                if item.default is not MISSING or item.default_factory is not MISSING}
    taken = {name: NotRequired[hints[name]] if name in optional else hints[name] for name in names or known}
    # Not the dataclass itself: some of its fields may be arrays, which come from elsewhere.
    table: Any = TypedDict(kind.__name__, taken)  # pyright: ignore - made, not written down
    table.__pydantic_config__ = ConfigDict(
        strict=True, allow_inf_nan=False, extra="forbid" if names is None else "ignore",
        arbitrary_types_allowed=True)  # an array, which no file's table holds
    return TypeAdapter(table)


def _sentence(error: ErrorDetails, kind: type) -> str:
    """What is wrong with the first wrong value, by its name in the table."""
    context = error.get("ctx", {})
    if "error" in context:  # a dataclass's own rule, which names the field
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
            return f"{place}.kind must be {' or '.join(map(repr, _members(parents[-1])))}, not {context['tag']!r}"
    rule = error["msg"].replace("Input should be an object", "Input should be a table").removeprefix("Input should be ")
    return f"{place} must be {rule}, not {error['input']!r}".lstrip()


def _walk(kind: Any, location: tuple[int | str, ...]) -> tuple[list[Any], str]:
    """Types on the way to a place, from the table to the value, and the place's name, without members of unions."""
    parents, name = [kind], ""
    for part in location:
        kind = parents[-1]
        if part in (known := _members(kind)):
            parents.append(known[part])
            continue
        name += f"[{part}]" if isinstance(part, int) else f".{part}" if name else part
        parents.append(get_type_hints(kind).get(str(part)) if is_dataclass(kind) else None)
    return parents, name


def _members(union: Any) -> dict[Any, Any]:
    """What a location calls the members of a union: a dataclass with a literal ``kind`` by that, others by name."""
    found = {}
    for one in get_args(union):
        kind = get_args(get_type_hints(one).get("kind")) if is_dataclass(one) else ()
        found[kind[0] if kind else getattr(one, "__name__", None)] = one
    return found
