# SPDX-License-Identifier: MIT
"""A build for boards, and commands as a user gives them."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import firstspike as fs
import pytest
from _pytest.pytester import SysModulesSnapshot
from firstspike.main import app
from firstspike.main import run as main
from firstspike.verb_demo import shipped
from typer.testing import CliRunner


@pytest.fixture(scope="session")
def readable_build(tmp_path_factory) -> Path:
    """The digits network on eight lanes, with read-back: one simulated board for all tests of a link."""
    compilation = fs.compile(
        fs.load(shipped("zoo", "digits_ettfs.safetensors")), lanes=8, early_exit=True, winner="scan", register_rows=2,
        read_back=True)
    folder = tmp_path_factory.mktemp("link") / "build"
    fs.export(compilation, folder)
    return folder


@pytest.fixture(scope="session")
def run() -> Callable[..., str]:
    """``run(verb, *arguments)``: what the command prints; its exception, if it ends with one."""

    def invoke(*arguments) -> str:
        done = CliRunner().invoke(app, [str(argument) for argument in arguments])
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == 0, done.output
        return done.output

    return invoke


class Ended(NamedTuple):
    """A command that has ended: its status, and what it wrote to standard output and standard error."""

    status: int
    out: str
    err: str


@pytest.fixture
def command(monkeypatch, capsys) -> Callable[..., Ended]:
    """``command(verb, *arguments)``: the command line in this process, with its sentences instead of exceptions."""

    def call(*arguments) -> Ended:
        monkeypatch.setenv("COLUMNS", "240")
        monkeypatch.setattr(sys, "argv", ["firstspike", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        printed = capsys.readouterr()
        assert end.value.code in (0, 1, 2, None)
        return Ended(end.value.code or 0, printed.out, printed.err)

    return call


@pytest.fixture
def said(pytester, monkeypatch) -> Callable[..., pytest.RunResult]:
    """``said(*arguments)``: pytest in this process, with the plugin and no others; its outcomes and its text.

    The plugin is named by its module, whether or not it is installed as an entry point. What is imported meanwhile
    stays, but for tests, where pytester would forget it: modules imported twice have classes that are not each other's.
    """
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setattr(SysModulesSnapshot, "restore", lambda self: None)  # undone behind pytester's own end

    def run(*arguments: str) -> pytest.RunResult:
        before = {*sys.modules}
        done = pytester.runpytest_inprocess("-p", "firstspike.pytest_plugin", "-p", "no:cacheprovider", *arguments)
        for name in {*sys.modules} - before:
            if name.startswith("test_"):
                del sys.modules[name]
        return done

    return run
