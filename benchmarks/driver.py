# SPDX-License-Identifier: MIT
"""The driver for Zynq and PYNQ, in a process without torch, on MNIST through the simulated AXI; its wheel's size."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import firstspike as fs
import numpy as np
from firstspike.axi_export import write_axi
from firstspike.verb_demo import shipped
from firstspike_train.data import load
from table import Row, publish

IMAGES = 1000
ROOT = Path(__file__).parents[1]
NAMES = ("classes", "steps", "decided_by", "scores")

ALONE = """
import sys
from pathlib import Path
import numpy as np
from firstspike_arch.program import Program
from firstspike_run import Accelerator, AxiDma, Export
from firstspike_sim.boards.simulated_zynq import SimulatedZynq

folder = Path(sys.argv[1])
with SimulatedZynq(Program.load(folder / "program.fsp"), memory_bytes=1 << 20) as zynq:
    dma = AxiDma(zynq.engine, zynq.allocate, length_bits=20, buffer_bytes=1 << 18)
    device = Accelerator(zynq.registers, dma, now=zynq.now)
    device.load(Export.read(folder / "axi"))
    answers = device.infer(np.load(folder / "images.npy"))
np.savez(folder / "answers.npz", torch="torch" in sys.modules, **answers._asdict())
"""
"""What a program on a board does; only the Zynq is simulated."""


def main() -> None:
    images = load("mnist", "test")[0][:IMAGES]
    program = fs.compile(
        fs.load(shipped("zoo", "mnist_ettfs.safetensors")), lanes=128, early_exit=True, port="image").program
    golden = fs.infer(program, images)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        program.save(folder / "program.fsp")
        np.save(folder / "images.npy", images)
        write_axi(program, folder / "axi")
        subprocess.run([sys.executable, "-c", ALONE, folder], check=True)
        answers = dict(np.load(folder / "answers.npz"))
        subprocess.run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
                        "--wheel-dir", folder, ROOT / "run"], check=True)
        (wheel,) = folder.glob("firstspike_run-*.whl")
        size = wheel.stat().st_size
        facts = len(json.dumps(json.loads((folder / "axi" / "manifest.json").read_text())["driver"]))
    compared = sum(answers[name].size for name in NAMES)
    wrong = sum(int((answers[name] != getattr(golden, name)).sum()) for name in NAMES)
    publish("driver", [
        Row(what=f"firstspike_run over the simulated AXI and DMA: {IMAGES} MNIST images, all that a result says",
            floor="0 differences, no torch in the process",
            measured=f"{wrong} differences in {compared} values; torch {'' if answers['torch'] else 'not '}loaded; "
                     f"{int(answers['cycles']) / IMAGES:.1f} cycles an image",
            met=wrong == 0 and compared == IMAGES * 13 and not answers["torch"]),
        Row(what="firstspike-run: wheel, and what it reads of an export beside the weights", floor="< 40 kB",
            measured=f"{size / 1000:.1f} kB, {facts / 1000:.1f} kB", met=size + facts < 40_000),
    ])


if __name__ == "__main__":
    main()
