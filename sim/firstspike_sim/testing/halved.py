# SPDX-License-Identifier: MIT
"""Parameters of a test for each pair of two lists, of which the quick tests run every second."""

from collections.abc import Iterable
from typing import Any

import pytest

__all__ = ["halved"]


def halved(cases: Iterable[Any], options: Iterable[Any]) -> list:
    """Pairs of a case and an option, as parameters of pytest; like the squares of a chessboard, half of them are
    ``slow``, so that each case and each option is also in the quick tests."""
    return [
        pytest.param(case, option, marks=[pytest.mark.slow] if (number + place) % 2 else [])
        for number, case in enumerate(cases) for place, option in enumerate(options)
    ]
