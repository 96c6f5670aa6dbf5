# SPDX-License-Identifier: MIT
"""Commands refuse data that the network does not take, in a sentence that names the option and what fits."""

import numpy as np
import pytest
from firstspike.verb_demo import shipped

CIFAR, NMNIST = (shipped("zoo", f"{name}.safetensors") for name in ("cifar10_chip", "nmnist_multi_threshold"))


@pytest.mark.thinned(2)
@pytest.mark.parametrize("call", [
    ("compile", CIFAR, "--device", "artix-100t", "-o", "built"),
    ("compile", CIFAR, "--weight-bits", "auto", "-o", "built"),
    ("explore", CIFAR, "--device", "artix-100t", "--data", "digits"),
    ("quantise", CIFAR, "--data", "digits"),
    ("report", CIFAR, "--data", "digits", "-o", "built"),
    ("robustness", CIFAR, "--data", "digits", "-o", "built"),
    ("upsets", CIFAR, "--data", "digits", "-o", "built"),
    ("verify", CIFAR, "--data", "digits", "-o", "built"),
], ids=lambda call: call[0])
def test_a_data_set_of_another_size(call, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, _, error = command(*call)
    assert status and error.splitlines()[-1] == (
        "firstspike: --data digits has samples of 64 numbers, but cifar10_chip takes 3 × 32 × 32; give what it was "
        "trained on, such as --data cifar10 or cifar100")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("verb", ["estimate", "simulate", "run", "monitor"])
def test_a_file_of_another_size(verb, command, readable_build, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("three.npy", np.zeros((2, 5, 3), np.uint8))
    port = ("--port", "simulated") if verb in ("run", "monitor") else ()
    status, _, error = command(verb, readable_build, "--data", "three.npy", *port)
    assert status and error.splitlines()[-1] == (
        "firstspike: --data three.npy has samples of 5 × 3 numbers, but digits_ettfs takes 64; give what it was "
        "trained on, such as --data digits")


def test_where_no_data_set_fits_none_is_named(command, tmp_path):
    status, _, error = command("report", NMNIST, "--data", "digits", "-o", tmp_path / "reports")
    assert status and error.splitlines()[-1].endswith("takes 2 × 34 × 34; give what it was trained on")
