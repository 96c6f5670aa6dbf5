# SPDX-License-Identifier: MIT
"""The proofs of tests/proofs: every property has a fault that still applies; `make prove` proves and plants them."""

import ast
import importlib
import inspect
import sys
from pathlib import Path

import pytest
from amaranth.hdl import Fragment

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/proofs"))
prove, planted, prover = (importlib.import_module(name) for name in ("prove", "planted", "prover"))
PROOFS = list(prove.all_proofs())


@pytest.mark.parametrize("one", PROOFS, ids=lambda one: one.unit)
def test_every_property_has_a_fault_that_applies(one):
    proof = one()
    Fragment.get(proof, None)
    assert sorted(proof.names) == sorted(one.faults)
    for fault in one.faults.values():
        text = inspect.getsource(importlib.import_module(fault.module))
        assert ast.dump(ast.parse(planted.faulty_source(fault))) != ast.dump(ast.parse(text)), fault


def test_units_differ_and_the_page_lists_all():
    assert len({one.unit for one in PROOFS}) == len(PROOFS) >= 20
    assert prove.table() in prove.PAGE.read_text()


def test_a_planted_fault_is_in_force_until_the_end_of_its_context():
    one = next(one for one in PROOFS if one.unit == "stream buffer")
    fault = one.faults["nothing leaves that did not come"]
    elaborate = importlib.import_module(fault.module).StreamBuffer.elaborate
    code = elaborate.__code__
    with planted.planted(fault):
        assert elaborate.__code__ is not code
    assert elaborate.__code__ is code


@pytest.mark.parametrize("status, cycles, verdict", [
    ("snl_UNSAT 5 unknown", None, "proved"),
    ("snl_SAT 2 unknown 0 6", None, "broken"), ("snl_UNK 9 unknown", None, "open"),
    ("snl_UNK 11 unknown", 12, "proved"), ("snl_UNK 10 unknown", 12, "open"), ("snl_SAT 2 unknown 0 6", 12, "broken"),
])
def test_a_bounded_search_counts_if_it_went_all_the_way(status, cycles, verdict):
    assert prover.verdict_of(status, cycles) == verdict


def test_a_run_is_told_by_the_names_of_its_signals():
    inputs = "input 0 0 clk\ninput 2 0 given\ninput 1 1 given\nlatch 0 0 kept\n"
    assert prover.run_of(inputs, "0\n101\n010\n1x0\n# DONE\n") == [{"given": 1}, {"given": 2}, {}]


@pytest.mark.slow
def test_the_prover_tells_what_holds_from_what_does_not():
    one = next(one for one in PROOFS if one.unit == "stream buffer")
    assert prover.prove(one(), seconds=100) == ("proved", [])
    for name, fault in one.faults.items():
        with planted.planted(fault):
            outcome = prover.prove(one(name), seconds=100)
        assert outcome.verdict == "broken" and outcome.run, name
