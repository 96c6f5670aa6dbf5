# SPDX-License-Identifier: MIT
"""Progress: what long commands tell while they run, on a terminal only."""

import io
import re

import firstspike as fs
import numpy as np
from firstspike.progress import shown_progress, shown_stage
from firstspike.verb_demo import shipped
from firstspike_sim.models.activity import BATCH, measure_activity
from firstspike_sim.models.prediction import predict_inputs
from firstspike_train.data import load
from rich.console import Console

NETWORK = fs.load(shipped("zoo", "digits_ettfs.safetensors"))


def test_a_terminal_sees_the_time_that_is_left_and_a_file_nothing():
    for terminal in (True, False):
        file = io.StringIO()
        console = Console(file=file, force_terminal=terminal, width=80)
        with shown_progress(console, "building the simulator and running every test image") as progress:
            progress(1, 4)
            progress(2, 4)
        with shown_stage(console, "compiling") as stage:
            stage("synthesis")
        said = file.getvalue()
        if not terminal:
            assert said == ""
            continue
        assert "every test" in said and "synthesis" in said
        assert re.search(r"0:00:00\S* *\S*left:\S* *\S*(-:--:--|0:00:0)", said), said


def test_a_terminal_sees_the_stages_of_a_compilation(command, monkeypatch, tmp_path):
    network = fs.NetworkBuilder(2, steps=2, readout="potential")
    network.layer([[1, -1], [2, 1]])
    fs.save(network.build(), tmp_path / "tiny.safetensors")
    compile_it = ("compile", tmp_path / "tiny.safetensors", "--lanes", 1, "-o", tmp_path / "b")
    plain = command(*compile_it)
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich then takes what is captured for a terminal
    shown = command(*compile_it)
    for stage in ("compiling", "writing Verilog and memory images"):
        assert f"{stage} " in shown.out and f"{stage} " not in plain.out


def test_every_step_is_told():
    program, told = fs.compile(NETWORK, lanes=8).program, []
    images = load("digits", "test")[0]
    measure_activity(program.network, images, lambda *counts: told.append(counts))
    assert told == [(min(done, 360), 360) for done in range(BATCH, 360 + BATCH, BATCH)]
    told.clear()
    predict_inputs(program, images, progress=lambda *counts: told.append(counts))
    assert told[-1] == (360, 360) and told == sorted(told)
    told.clear()
    fs.map_to_device(NETWORK, np.asarray(images[:4]), device="ice40-up5k", lane_budget=8,
                     progress=lambda *counts: told.append(counts))
    total = told[0][1]
    assert total > 2 and told == [(done, total) for done in range(1, total + 1)]
