# SPDX-License-Identifier: MIT
"""Command lines that a page names, and its options checked before any work is done."""

import shlex
from pathlib import Path

from .network_facts import check_device

__all__ = ["check_page", "commands_of", "given"]


def given(verb: str, subject: Path, data: str, split: str, limit: int | None, **options: object) -> str:
    """Return a command line; options that are None, or the default, are left out."""
    words = ["firstspike", verb, str(subject), "--data", data]
    options = {"split": None if split == "test" else split, "limit": limit, **options}
    if options.get("backend") == "verilator":
        del options["backend"]
    for name, value in options.items():
        if value is not None:
            words += [f"--{name}", str(value)]
    return shlex.join(words)


def commands_of(build: Path, data: str, split: str, limit: int | None) -> dict[str, str]:
    """Return the commands that print the same numbers as sections of a page of a build."""
    return {"cycles": given("estimate", build, data, split, limit),
            "network": shlex.join(["firstspike", "inspect", str(build)]),
            "rasters": f"{given('simulate', build, data, split, None)} --index I"}


def check_page(html: Path | None, html_data: Path | None, device: str | None) -> None:
    """Raise ValueError if the options of a page do not fit each other, or its folder is missing."""
    if html is None and (html_data is not None or device is not None):
        extra = "--html-data" if html_data else "--device"
        raise ValueError(f"--html must be given with {extra}, which is for its page")
    for name, path in (("--html", html), ("--html-data", html_data)):
        if path is not None and (path.is_dir() or not path.parent.is_dir()):
            raise ValueError(f"{name} must be a file in a folder that exists, not {path}")
    check_device(device)
