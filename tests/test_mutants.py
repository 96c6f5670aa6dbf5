# SPDX-License-Identifier: MIT
"""The planted faults of tests/mutants still fit the sources; `make mutants` shows that they are caught."""

import ast
import importlib.util
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
_SPEC = importlib.util.spec_from_file_location("run_mutants", ROOT / "tests/mutants/run_mutants.py")
assert _SPEC is not None and _SPEC.loader is not None
run_mutants = importlib.util.module_from_spec(_SPEC)
sys.modules[_SPEC.name] = run_mutants
_SPEC.loader.exec_module(run_mutants)
MUTANTS = run_mutants.load_mutants()


def quick_tests(text: str) -> set[str]:
    """The tests of a file of which `make test` runs some case."""
    body = ast.parse(text).body
    if any(isinstance(one, ast.Assign) and ast.unparse(one) == "pytestmark = pytest.mark.slow" for one in body):
        return set()
    return {one.name for one in body if isinstance(one, ast.FunctionDef) and one.name.startswith("test_")
            and "pytest.mark.slow" not in map(ast.unparse, one.decorator_list)}


@pytest.mark.parametrize("room", run_mutants.ROOMS)
def test_every_planted_fault_still_applies(room):
    for mutant in (one for one in MUTANTS if one.file.startswith(f"{room}/")):
        text = mutant.apply(ROOT)  # raises if the source has changed there
        before = (ROOT / mutant.file).read_text()
        assert text != before, mutant
        if mutant.file.endswith(".py"):
            assert ast.dump(ast.parse(text)) != ast.dump(ast.parse(before)), mutant
        assert mutant.breaks and mutant.caught_by, mutant
        for test in mutant.caught_by:
            file, _, name = test.partition("::")
            found = quick_tests((ROOT / file).read_text())
            assert name.partition("[")[0] in found if name else found, f"{test} must be a quick test: {mutant.breaks}"


def test_a_slow_test_is_not_taken_for_a_quick_one():
    text = "@pytest.mark.slow\ndef test_a(): pass\n@pytest.mark.parametrize('x', [1])\ndef test_b(x): pass\n"
    assert quick_tests(text) == {"test_b"} and quick_tests("pytestmark = pytest.mark.slow\n" + text) == set()


def test_planted_faults_are_many_and_differ():
    assert max(Counter((one.file, one.find, one.replace) for one in MUTANTS).values()) == 1
    rooms = Counter(one.file.partition("/")[0] for one in MUTANTS)
    assert set(rooms) == set(run_mutants.ROOMS) and sum(rooms.values()) >= 150


def test_words_that_no_fault_has_are_refused(monkeypatch, capsys):
    """None of none is not all."""
    monkeypatch.setattr(sys, "argv", ["run_mutants.py", "nowhere"])
    with pytest.raises(SystemExit, match=r"^2$"):
        run_mutants.main()
    assert "words must be in the file or the words of a planted fault: 'nowhere' are in none" in capsys.readouterr().err
