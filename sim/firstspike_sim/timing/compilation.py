# SPDX-License-Identifier: MIT
"""Compiles the timing model with numba, and finds the sources that the key of its cache on disk depends on."""

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numba
from firstspike_arch import events, external, layer_plan

__all__ = ["FROM_PYTHON", "sources", "sources_digest", "twin"]

FROM_PYTHON: dict[str, Any] = {"_nrt": False, "no_cfunc_wrapper": True}
"""Options of numba's compiler for a function that only Python calls. Reference counting is off: it would take forty
times as long as the twins, and is not needed, as all arrays outlive the calls and no twin allocates one."""

_FROM_TWINS: dict[str, Any] = {"no_cpython_wrapper": True, **FROM_PYTHON}


def twin(function: Callable) -> Callable:
    """Compile a function of the timing model, inlined into its callers.

    It is not cached itself, because the compiled code of a caller contains the code of all functions that it calls.
    Divisors are not checked, because they are never 0. There are no wrappers to call it from Python or C: they take
    apart all arrays of their arguments, and half the time of the compiler.
    """
    return numba.njit(error_model="numpy", forceinline=True, **_FROM_TWINS)(function)


def sources() -> list[Path]:
    """The source files of the compiled timing model: those in this folder, and those of arch whose constants it
    uses."""
    constants = (Path(str(module.__file__)) for module in (events, external, layer_plan))
    return [*Path(__file__).parent.glob("*.py"), *constants]


def sources_digest(files: Iterable[Path]) -> str:
    """Digest of the names and texts of the files.

    Numba reuses a compiled function from its cache on disk as long as the file of that function is unchanged. It does
    not look at the files of the functions that it calls, so that after a change of a twin the old code would run. But
    the key of the cache also contains the variables that a function takes from the function around it. With this digest
    as such a variable, a change of any of the files leads to a new compilation.
    """
    # Ref: numba.core.caching.Cache._index_key, "if the function has a __closure__, a hash of the cell_contents".
    texts = sorted((file.name, file.read_bytes()) for file in files)
    return hashlib.sha256(repr(texts).encode()).hexdigest()
