# SPDX-License-Identifier: MIT
"""The version of firstspike, and those of what works beside it."""

import platform
from collections.abc import Iterable

__all__ = ["VERSION", "versions_of"]

VERSION = "0.1.0"


def versions_of(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions of firstspike, Python and these packages, by name; of a package that is missing, none."""
    import importlib.metadata  # as slow as all of the command's help

    found = {"firstspike": VERSION, "python": platform.python_version()}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
