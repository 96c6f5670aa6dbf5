# SPDX-License-Identifier: MIT
"""The notebook, cell by cell: from a snnTorch model to classes over the simulated AXI."""

import json
import sys
from pathlib import Path
from unittest.mock import create_autospec

import firstspike as fs
import firstspike_run
import numpy as np
import pytest
from firstspike_run import Accelerator, Answers
from firstspike_sim.boards import simulated_zynq
from firstspike_sim.boards.simulated_zynq import SimulatedZynq

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "zynq.ipynb"


def cells(kind: str) -> list[dict]:
    return [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == kind]


def test_it_is_kept_without_outputs_and_its_code_compiles():
    assert len(cells("code")) > 4 and len(cells("markdown")) > 3
    for cell in cells("code"):
        assert cell["outputs"] == [] and cell["execution_count"] is None
        compile("".join(cell["source"]), str(NOTEBOOK), "exec")


def run(folder: Path, monkeypatch, names: dict) -> None:
    """Run all cells, in order, in a folder, with and into these names."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")
    for cell in cells("code"):
        exec(compile("".join(cell["source"]), str(NOTEBOOK), "exec"), names)
    assert (folder / "axi" / "firstspike_registers.h").is_file() and names["right"] > 0.85


def test_every_cell_runs(tmp_path, monkeypatch, capsys):
    """In front of a board that answers as the golden model does, in place of the simulated one."""
    names: dict = {"__name__": "notebook"}
    device = create_autospec(Accelerator, instance=True)

    def answers(pixels: np.ndarray) -> Answers:
        device.load.assert_called_once()
        assert device.load.call_args.args[0].program == names["compilation"].program.digest()[:16]
        golden = fs.infer(names["compilation"].program, pixels)
        return Answers(golden.classes, golden.steps, np.zeros(len(pixels), int), golden.scores, 1000)

    device.infer.side_effect = answers
    board = create_autospec(SimulatedZynq, return_value=create_autospec(
        SimulatedZynq, instance=True, registers=None, engine=None))
    monkeypatch.setattr(simulated_zynq, "SimulatedZynq", board)
    monkeypatch.setattr(firstspike_run, "Accelerator", create_autospec(Accelerator, return_value=device))
    run(tmp_path, monkeypatch, names)
    assert board.call_args.args[0] is names["compilation"].program and board.return_value.close.called
    assert "1000 cycles; counters: " in capsys.readouterr().out


@pytest.mark.slow
def test_it_runs_in_front_of_the_verilog(tmp_path, monkeypatch, capsys):
    names: dict = {"__name__": "notebook"}
    run(tmp_path, monkeypatch, names)
    answers = names["answers"]
    assert len(set(answers.classes.tolist())) > 5 and np.array_equal(answers.scores, names["golden"].scores[:20])
    assert "counters: {'cycles'" in capsys.readouterr().out
