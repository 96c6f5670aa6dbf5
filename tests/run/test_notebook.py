# SPDX-License-Identifier: MIT
"""The notebook, cell by cell: from a snnTorch model to classes over the simulated AXI."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "zynq.ipynb"


def cells(kind: str) -> list[dict]:
    return [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == kind]


def test_it_is_kept_without_outputs_and_its_code_compiles():
    assert len(cells("code")) > 4 and len(cells("markdown")) > 3
    for cell in cells("code"):
        assert cell["outputs"] == [] and cell["execution_count"] is None
        compile("".join(cell["source"]), str(NOTEBOOK), "exec")


@pytest.mark.slow
def test_it_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")
    names: dict = {"__name__": "notebook"}
    for cell in cells("code"):
        exec(compile("".join(cell["source"]), str(NOTEBOOK), "exec"), names)
    assert names["right"] > 0.85 and (tmp_path / "axi" / "firstspike_registers.h").is_file()
    answers = names["answers"]
    assert len(set(answers.classes.tolist())) > 5 and np.array_equal(answers.scores, names["golden"].scores[:20])
    assert "counters: {'cycles'" in capsys.readouterr().out
