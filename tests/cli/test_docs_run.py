# SPDX-License-Identifier: MIT
"""Every block of README and docs: commands run, Python runs, C compiles, page by page, in the order in which it stands.

Two pages have tests of their own: README and docs/bring_your_own.md, of which the commands run here.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import firstspike as fs
import numpy as np
import pytest
from firstspike.axi_export import write_axi
from firstspike_arch.float_network import FloatLayer, FloatNetwork
from firstspike_arch.neuron import FloatNeuron
from firstspike_arch.program import Program
from firstspike_sim.boards.simulated_zynq import SimulatedZynq
from firstspike_train.data import load

ROOT = Path(__file__).parents[2]
PAGES = {path.relative_to(ROOT).as_posix(): path.read_text() for path in (
    ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "run" / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    if path.name != "ci.md"}
"""All but one, of whose files test_ci_examples.py runs the jobs."""
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)

PYTHON_ELSEWHERE = {"README.md": "test_docs.py", "docs/bring_your_own.md": "test_bring_your_own.py"}

STAND_INS = (
    (r"zoo/cifar10_chip(.*) --data cifar10", r"zoo/digits_latency\1 --data digits"),
    (r"recipes/\w+\.toml", "recipes/digits_ettfs.toml"), (r"zoo/mnist_", "zoo/digits_"),
    (r"(?<![\w/])(mnist|nmnist|network|net)\.safetensors", "zoo/digits_ettfs.safetensors"),
    (r"/dev/tty\w+", "simulated"), (r"--data (mnist|\w+\.npz|image\.png)", "--data digits"),
    (r"--lanes 128", "--lanes 16"), (r"^compile (.*)", r"compile \1 --read-back"),
    (r"^compile (net\.\w+.*|.* --external .*) --read-back", r"compile \1"), (r"^monitor (.*)", r"monitor \1 --count 2"),
    (r"^((verify|estimate|quantise|report|robustness|run) (?!.*--(limit|index)).*)", r"\1 --limit 5"),
    (r"^(compile net\.net .*)--readout spike_count", r"\1--readout potential"),  # as the stand-in's last neurons do
    (r"^(upsets .*)", r"\1 --count 2"), (r" --scheduler tcp://HOST:8786", ""),  # tests/cli/test_dask_workers.py has one
    (r"^train (.*) -o zoo/\S+", r"train \1 -o trained.safetensors"),
)
"""Patterns and what takes their place, so that the commands need no download and no board."""

NOT_RUN = {"study": "hours of training", "build": "the synthesis tools: tests/boards/test_real_tools.py"}
OTHER_TOOLS = ("make ", "pip ", "vivado ", "fusesoc ")
"""What lines of blocks without a language begin with, beside firstspike; the Makefile's targets are checked."""

FORMULAS = ("docs/semantics.md", "docs/bring_your_own.md")
"""Pages with blocks that hold equations."""


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """Language and contents of each block."""
    return ((found[1], found[2]) for found in BLOCK.finditer(text))


def commands(block: str) -> list[str]:
    """Arguments of the lines that call firstspike."""
    lines = [line.removeprefix("$ ") for line in block.replace("\\\n", " ").splitlines()]
    return [shlex.join(shlex.split(line, comments=True)[1:]) for line in lines if line.startswith("firstspike ")]


@pytest.mark.parametrize("name", PAGES)
def test_every_block_is_of_a_kind_that_is_run(name):
    text = PAGES[name]
    assert text.count("\n```") == 2 * len(list(blocks(text)))
    for language, block in blocks(text):
        if language == "python":
            compile(block, name, "exec")
        elif language == "c":
            assert "#include" in block
        else:
            assert language == ""
            if commands(block) or block.startswith(OTHER_TOOLS):
                for line in block.splitlines():
                    if line.startswith("make "):
                        assert f"\n{line.split()[1]}:" in (ROOT / "Makefile").read_text()
            else:
                assert name in FORMULAS, block


def test_python_that_is_run_elsewhere_is_run_there():
    other = (ROOT / "tests" / "cli" / "test_bring_your_own.py").read_text()
    for section in PAGES["docs/bring_your_own.md"].split("\n## ")[1:]:
        if "```python" in section:
            assert f'"{section.splitlines()[0]}"' in other


def a_nir_file(path: Path) -> None:
    """Two layers that are reset to zero, for the options that the page gives."""
    rng = np.random.default_rng(0)
    layers = tuple(FloatLayer(weight=rng.normal(size=shape), neuron=FloatNeuron(
        theta=np.full(shape[0], 4.0), reset="zero")) for shape in ((20, 64), (10, 20)))
    network = FloatNetwork(name="net", layers=layers, steps=6, readout="spike_count", input_kind="events")
    fs.save_nir(fs.compile(network, lanes=8).program.network, path)


def pynq_of(program: Program, boards: list[SimulatedZynq]) -> ModuleType:
    """A module that has of PYNQ what the pages use, in front of a simulated Zynq."""
    board = SimulatedZynq(program)
    boards.append(board)
    module = ModuleType("pynq")

    class Overlay:
        def __init__(self, bitfile: str):
            assert bitfile == "design.bit"
            self.firstspike_axi_0, self.axi_dma_0 = board.registers, board.engine

    module.__dict__.update(Overlay=Overlay, allocate=board.allocate)
    return module


def check_board(names: dict) -> None:
    from firstspike_boards.icebreaker import ICEBREAKER
    assert names["ICEBREAKER"] == replace(ICEBREAKER, spi=names["ICEBREAKER"].spi)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, text in PAGES.items() if "```" in text])
def test_every_block_runs(name, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("zoo", "recipes"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    names: dict = {"__name__": "page"}
    boards: list[SimulatedZynq] = []
    ran = 0
    try:
        prepare(name, tmp_path, names)
        for language, block in blocks(PAGES[name]):
            if language == "c":
                (tmp_path / "part.c").write_text(block)
                subprocess.run([os.environ.get("CC", "cc"), "-std=c99", "-Wall", "-Wextra", "-Werror", "-I", "axi",
                                "-c", "part.c"], check=True)
            elif language == "python" and name not in PYTHON_ELSEWHERE:
                if "from pynq" in block:
                    program = fs.open_build("build")
                    monkeypatch.setitem(sys.modules, "pynq", pynq_of(program, boards))
                if "load_nmnist" in block and not nmnist(tmp_path):
                    continue
                for pattern, instead in ((r'"mnist\.safetensors"', '"zoo/digits_ettfs.safetensors"'),
                                         (r"lanes=128", "lanes=16"), (r"counts\[:100\]", "counts[:2]"),
                                         (r"labels\[:100\]", "labels[:2]")):
                    block = re.sub(pattern, instead, block)
                exec(compile(block, name, "exec"), names)
                if "ICEBREAKER" in block:
                    check_board(names)
            for line in commands(block) if language == "" else ():
                verb = line.split()[0]
                if verb in NOT_RUN or (verb == "data" and not nmnist(tmp_path)):
                    continue
                for pattern, instead in STAND_INS:
                    line = re.sub(pattern, instead, line)
                status, said, error = command(*shlex.split(line))
                assert status == 0, (line, said, error)
            ran += 1
    finally:
        for board in boards:
            board.close()
    assert ran


def nmnist(folder: Path) -> bool:
    """Whether the recordings, and the network of the page, were downloaded; the network is put beside."""
    data = Path(os.environ.get("FIRSTSPIKE_DATA", "-"))
    model = data.parent / "models" / "nmnist_cnn.nir"
    if not (data / "nmnist").is_dir() or not model.is_file():
        return False
    if not (folder / model.name).exists():
        (folder / model.name).symlink_to(model)
    return True


def prepare(name: str, folder: Path, names: dict) -> None:
    """What a page takes for granted: files, and names in its code."""
    images = load("digits", "test")[0][:10]
    make: dict[str, Callable[[], object]] = {
        "docs/commands.md": lambda: names.update(images=images),
        "CONTRIBUTING.md": lambda: (
            (folder / "failed").mkdir(), np.save(folder / "failed" / "inputs.npy", images),
            fs.compile(fs.load("zoo/digits_ettfs.safetensors"), lanes=16).program.save("failed/program.fsp")),
        "docs/driver.md": lambda: names.update(images=images),
        "run/README.md": lambda: (
            names.update(images=images),
            fs.export(fs.compile(fs.load("zoo/digits_ettfs.safetensors"), lanes=16), "build"),
            write_axi(fs.open_build("build"), Path("axi"))),
        "docs/bring_your_own.md": lambda: (
            a_nir_file(folder / "net.nir"), shutil.copy(
                ROOT / "tests" / "compiler" / "lava_files" / "affine.net", folder / "net.net")),
        "docs/boards.md": lambda: exec(
            "from amaranth_boards.icebreaker import ICEBreakerPlatform\n"
            "from firstspike_boards.board import Board\nfrom firstspike_boards.devices import DEVICES\n"
            "from firstspike_boards.ice40 import ICE40\n", names),
    }
    make.get(name, lambda: None)()
