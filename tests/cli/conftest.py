# SPDX-License-Identifier: MIT
"""A build for boards, and commands as a user gives them."""

from collections.abc import Callable
from pathlib import Path

import firstspike as fs
import pytest
from firstspike.main import app
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
