# SPDX-License-Identifier: MIT
"""The reference bench: waits, reset in the middle, what a simulator that fails says; slow: real MNIST."""

import os

import firstspike as fs
import pytest
from firstspike.verb_demo import shipped
from firstspike_hw.toolchain import ToolError
from firstspike_hw.verilog_files import TOP
from firstspike_sim.backends.cocotb_bench import CocotbBackend
from firstspike_sim.backends.cocotb_run import run_bench
from firstspike_train.data import load


@pytest.fixture(scope="module")
def digits():
    network = fs.load(shipped("zoo", "digits_ettfs.safetensors"))
    return network, load("digits", "test")[0]


def test_random_waits_and_reset_in_the_middle(digits, agree):
    network, images = digits
    program = fs.compile(network, lanes=16, early_exit=True).program
    agree(CocotbBackend(reset_at=137, optimise=False), program, images[:12], seed=5)


def test_a_simulator_that_fails_is_said_in_its_words(tmp_path):
    (tmp_path / f"{TOP}.v").write_text("module wrong(")
    bench = "firstspike_sim.backends.benches.bench_unit"
    with pytest.raises(ToolError, match=rf"(?s)^{bench} in verilator ended without a result:\n.*syntax error"):
        run_bench(tmp_path, "verilator", bench, "seen.json", optimise=False)


def test_image_port(digits, agree):
    network, images = digits
    program = fs.compile(network, port="image", early_exit=True).program
    agree(CocotbBackend(reset_at=61, optimise=False), program, images[:20])


@pytest.mark.icarus
def test_icarus(digits, agree):
    network, images = digits
    agree(CocotbBackend(simulator="icarus"), fs.compile(network).program, images[:4], seed=1)


@pytest.mark.slow
@pytest.mark.skipif("FIRSTSPIKE_DATA" not in os.environ, reason="FIRSTSPIKE_DATA is not set: no MNIST")
def test_two_hundred_mnist_images(agree):
    program = fs.compile(fs.load(shipped("zoo", "mnist_ettfs.safetensors")), lanes=128).program
    agree(CocotbBackend(), program, load("mnist", "test")[0][:200])
