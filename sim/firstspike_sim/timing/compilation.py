# SPDX-License-Identifier: MIT
"""Compilation of the timing model, and what its cache on disk must know."""

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numba
from firstspike_arch import array, events

__all__ = ["WITHOUT_RUNTIME", "sources", "sources_digest", "twin"]

WITHOUT_RUNTIME: dict[str, Any] = {"_nrt": False}
"""Options of numba's compiler: nobody counts references to arrays. They outlive the calls, and none is allocated there;
to count the references of every array that is passed on costs forty times what the twins do."""


def twin(function: Callable) -> Callable:
    """Compile a function of the timing model, into whatever calls it.

    It has no cache of its own: the compiled code of a caller contains that of all it calls. Divisors are never 0, so
    nothing checks for that.
    """
    return numba.njit(error_model="numpy", forceinline=True, **WITHOUT_RUNTIME)(function)


def sources() -> list[Path]:
    """The files that the compiled timing model is made of: those beside this one, and arch's, for their constants."""
    return [*Path(__file__).parent.glob("*.py"), *(Path(str(module.__file__)) for module in (array, events))]


def sources_digest(files: Iterable[Path]) -> str:
    """A digest of names and texts of the files.

    Numba keeps a compiled function on disk for as long as the file that it stands in has the same text. The files of
    the functions that it calls are not looked at: after a change of a twin, the code of before would run. But the key
    of what is kept also contains the variables that a function takes from the function around it; with this digest as
    such a variable, a change of any of the files is noticed.
    """
    # Ref: numba.core.caching.Cache._index_key, "if the function has a __closure__, a hash of the cell_contents".
    texts = sorted((file.name, file.read_bytes()) for file in files)
    return hashlib.sha256(repr(texts).encode()).hexdigest()
