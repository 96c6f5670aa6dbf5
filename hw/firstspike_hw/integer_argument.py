# SPDX-License-Identifier: MIT
"""Check of the integers that a unit is made from."""

from numbers import Integral

__all__ = ["integer_argument"]


def integer_argument(name: str, value: int, low: int, high: int | None = None, *, unit: str = "") -> int:
    """The value as an int, if it is an integer of ``low`` … ``high``; without ``high``, of at least ``low``.

    Raises
    ------
    ValueError
        It is not; the message names it and, if there is one, its ``unit``.
    """
    is_integer = isinstance(value, Integral) and not isinstance(value, bool)
    if not is_integer or value < low or (high is not None and value > high):
        rule = f"of at least {low}" if high is None else f"of {low}…{high}"
        raise ValueError(f"{name} must be an integer {rule}{unit and ' '}{unit}, not {value!r}")
    return int(value)
