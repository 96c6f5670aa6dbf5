# SPDX-License-Identifier: MIT
"""The accelerator in an Amaranth design of someone else."""

import runpy
import subprocess
import sys
from pathlib import Path

import firstspike as fs
import numpy as np
import pytest
from firstspike.verb_demo import shipped

EXAMPLE = Path(__file__).parents[2] / "examples" / "amaranth" / "digit_counter.py"


def test_it_counts_what_the_golden_model_sees():
    own = np.arange(4)[:, None] == np.arange(11) % 4  # the pixels of each class
    net = fs.NetworkBuilder(11, steps=4, readout="first_spike", input_kind="latency")  # not a whole number of beats
    net.layer(np.where(own, 7, -1), theta=12, single_spike=True)
    program = fs.compile(net.build(), lanes=2, port="image", early_exit=True).program
    images = np.where(own[[0, 2, 2, 1, 3, 2, 0]], 250, 40).astype(np.uint8)
    wanted = np.bincount(fs.infer(program, images).classes, minlength=4)
    assert wanted.tolist() == [2, 1, 3, 1]
    assert runpy.run_path(str(EXAMPLE))["count"](program, images) == wanted.tolist()


@pytest.mark.slow
def test_the_example_runs_as_it_says(tmp_path):
    checkpoint = shipped("zoo", "digits_ettfs.safetensors")
    said = subprocess.run([sys.executable, EXAMPLE, checkpoint], cwd=tmp_path, text=True, capture_output=True,
                          check=True, timeout=600).stdout
    counted, labelled = ([int(one) for one in line[line.index("[") + 1:-1].split(",")] for line in said.splitlines())
    assert sum(counted) == sum(labelled) == 12 and counted == labelled
    subprocess.run([sys.executable, EXAMPLE, checkpoint, "counter.v"], cwd=tmp_path, check=True, timeout=600)
    text = (tmp_path / "counter.v").read_text()
    assert "module digit_counter(" in text and "pixels__payload" in text and "readmemh" not in text
