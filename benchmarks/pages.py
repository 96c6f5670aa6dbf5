# SPDX-License-Identifier: MIT
"""The HTML page of a verification: what it costs beyond the verification itself, and its size."""

import tempfile
import time
from pathlib import Path

import firstspike as fs
from firstspike.options import load_inputs
from firstspike.verb_demo import shipped
from firstspike.verb_verify import write_verification
from firstspike_hw.accelerator import Accelerator
from firstspike_hw.verilog import verilog
from table import Row, publish

SECONDS, MEGABYTES = 20, 5


def main() -> None:
    network = fs.load(shipped("zoo", "mnist_ettfs.safetensors"))
    program = fs.compile(network, lanes=128, early_exit=True).program
    images, labels = load_inputs("mnist", "test")
    text = verilog(Accelerator(program), program.memories())
    outcome = fs.verify(program, images, verilog=text)
    with tempfile.TemporaryDirectory() as folder:
        page, begun = Path(folder) / "page.html", time.process_time()
        write_verification(
            program, outcome, images, labels, page, verilog=text, command="firstspike verify", commands={},
            accuracy=network.accuracy, split="test")
        seconds, size = time.process_time() - begun, page.stat().st_size / 1e6
    what = f"page of a verification, MNIST 784-128-10, {len(images):,} images"
    publish("pages", [
        Row(what=f"{what}: CPU time beyond the verification", floor=f"≤ {SECONDS} s", measured=f"{seconds:.1f} s",
            met=outcome.equal and seconds <= SECONDS),
        Row(what=f"{what}: size", floor=f"≤ {MEGABYTES} MB", measured=f"{size:.2f} MB", met=size <= MEGABYTES),
    ])


if __name__ == "__main__":
    main()
