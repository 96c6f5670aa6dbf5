# SPDX-License-Identifier: MIT
"""What answers at once imports nothing that takes long."""

import inspect
import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import firstspike as fs
import pytest
from firstspike.verb_demo import shipped
from firstspike.verbs import VERBS, Verb

SLOW = {"torch", "numba", "matplotlib", "amaranth", "sklearn", "scipy", "PIL", "jinja2", "cocotb", "dask",
        "distributed"}
COMMANDS = f"""
import json, sys
from contextlib import suppress
from firstspike.main import app
for arguments in json.loads(sys.argv[1]):
    with suppress(SystemExit):
        app(arguments)
    print(*arguments, "imports", *({SLOW} & sys.modules.keys()), file=sys.stderr)
"""
"""Run commands, and after each print on standard error which of the slow packages are imported."""


def slow_imports(*commands: list[str]) -> list[str]:
    done = subprocess.run([sys.executable, "-c", COMMANDS, json.dumps(commands)], text=True, capture_output=True,
                          check=True, timeout=120)
    return done.stderr.splitlines()


def test_help_imports_nothing_slow():
    commands = [["--help"], *([verb, "--help"] for verb in VERBS)]
    assert slow_imports(*commands) == [" ".join([*one, "imports"]) for one in commands]


def test_the_list_of_verbs_imports_none_of_them():
    code = ("import sys; from firstspike.main import app; app(['--help'], standalone_mode=False);"
            "found = sorted(name for name in sys.modules if name == 'numpy' or name.startswith('firstspike.'));"
            "print(*found, file=sys.stderr)")
    done = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=True, timeout=120)
    assert done.stderr.split() == ["firstspike.main", "firstspike.sentence", "firstspike.verbs"]
    assert all(f"│ {verb} " in done.stdout for verb in VERBS)


@pytest.mark.parametrize("name", VERBS)
def test_a_verb_in_the_list_says_what_it_is(name):
    verb = Verb(name)
    assert verb.help == inspect.getdoc(getattr(import_module(verb.module), verb.function))


@pytest.mark.parametrize(("typed", "completed"), [
    ("firstspike export-", ["export-nir", "export-axi"]), ("firstspike verify --wa", ["--waits", "--waves"])])
def test_the_shell_completes_verbs_and_their_options(typed, completed):
    asked = {"COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" ")), "_FIRSTSPIKE_COMPLETE": "complete_bash"}
    code = "import sys; sys.argv = ['firstspike']; from firstspike.main import run; run()"
    done = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, timeout=120,
                          env={**os.environ, **asked})
    assert done.returncode == 0 and done.stdout.split() == completed, done.stderr


def test_inspect_imports_nothing_slow(tmp_path):
    checkpoint = shipped("zoo", "digits_ettfs.safetensors")
    fs.export(fs.compile(fs.load(checkpoint), lanes=8), tmp_path / "b")
    nir = Path(__file__).parents[1] / "compiler" / "nir_files" / "rockpool_0.nir"
    commands = [["inspect", str(file)] for file in (checkpoint, tmp_path / "b", nir)]
    assert slow_imports(*commands) == [" ".join([*one, "imports"]) for one in commands]


def test_pytest_with_the_plugin_imports_nothing_slow_before_a_network_runs(tmp_path):
    (tmp_path / "pyproject.toml").write_text(
        "[tool.pytest.ini_options]\nfirstspike_networks = ['x.safetensors data=digits']\n")
    (tmp_path / "test_it.py").write_text("def test_it(firstspike_verify): ...\n")
    code = ("import pytest, sys; status = pytest.main(['-p', 'no:firstspike', '-p', 'firstspike.pytest_plugin', '-p', "
            "'no:cacheprovider', '--co', '-q']); "
            f"print(int(status), *sorted({SLOW | {'numpy', 'typer', 'rich'}} & sys.modules.keys()))")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, text=True, capture_output=True, timeout=120)
    assert "2 tests collected" in done.stdout and done.stdout.splitlines()[-1] == "0", done.stdout


def test_a_slow_import_would_be_seen(tmp_path):
    fs.export(fs.compile(fs.load(shipped("zoo", "digits_ettfs.safetensors")), lanes=8), tmp_path / "b")
    (line,) = slow_imports(["estimate", str(tmp_path / "b"), "--data", "digits", "--limit", "2"])
    assert "torch" in line.split()


def test_the_package_has_its_names_without_importing_them():
    code = ("import sys, firstspike as fs; before = 'torch' in sys.modules; fs.load; "
            "print(before, 'torch' in sys.modules, {*fs.__all__} <= {*dir(fs)}, hasattr(fs, 'nothing'))")
    done = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=True, timeout=120)
    assert done.stdout.split() == ["False", "True", "True", "False"]
    names: dict = {}
    exec("from firstspike import *", names)
    assert names["compile"] is fs.compile and "api" not in names
