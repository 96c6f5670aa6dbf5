# SPDX-License-Identifier: MIT
"""Gate level: the cells that yosys makes of the digits network for each family, against golden and timing model."""

import firstspike as fs
from firstspike.verb_demo import shipped
from firstspike_boards.gates import GATES, gates_of
from firstspike_hw.accelerator import Accelerator
from firstspike_hw.verilog import verilog
from firstspike_train.data import load
from table import Row, publish

IMAGES = 50


def main() -> None:
    network = fs.load(shipped("zoo", "digits_ettfs.safetensors"))
    program = fs.compile(network, lanes=8, early_exit=True, winner="scan", register_rows=2).program
    text, images, rows = verilog(Accelerator(program), program.memories()), load("digits", "test")[0][:IMAGES], []
    for name in GATES:
        found = gates_of(program, text, name)
        outcome = fs.verify(program, images, verilog=found.text, optimise=False)
        different = sum(check.different for check in outcome.checks)
        rows.append(Row(
            what=f"gates of the digits network for {name}, {sum(found.cells.values())} cells: spikes, classes and "
            f"cycles of {IMAGES} digits that differ from the models", floor="0",
            measured=f"{different} of {sum(check.compared for check in outcome.checks)}", met=outcome.equal))
    publish("gates", rows)


if __name__ == "__main__":
    main()
