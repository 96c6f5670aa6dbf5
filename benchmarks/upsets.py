# SPDX-License-Identifier: MIT
"""Soft errors in the digits network: what an upset of one bit does, by kind of state."""

import firstspike as fs
from firstspike.upset_campaign import Effect, UpsetCase, run_upsets
from firstspike.upset_sites import PLACES
from firstspike.verb_demo import shipped
from firstspike_hw.accelerator import Accelerator
from firstspike_hw.verilog import verilog
from firstspike_sim.backends.upset_bench import Recovery
from firstspike_train.data import load
from table import Row, publish

UPSETS, INFERENCES, RUNS = 400, 4, 8


def main() -> None:
    network = fs.load(shipped("zoo", "digits_ettfs.safetensors"))
    program = fs.compile(network, lanes=8, early_exit=True, winner="scan", register_rows=2).program
    outcomes = run_upsets(
        UpsetCase(program=program, text=verilog(Accelerator(program), program.memories()),
                  inputs=load("digits", "test")[0][: INFERENCES * RUNS], inferences=INFERENCES, seed=0), UPSETS)
    rows = []
    for kind in PLACES:
        sites = [one for one in outcomes if one.site.kind == kind]
        bits = sum(one.site.bits for one in sites)
        if not bits:
            continue
        mean = {effect: sum(one.site.bits * one.share(effect) for one in sites) / bits for effect in Effect}
        rows.append(Row(
            what=f"digits network, {bits} bits of {kind}, {UPSETS} upsets for each layer or unit: a class changes in "
            f"one of {INFERENCES} inferences / results are lost", floor="-",
            measured=f"{mean[Effect.CLASS]:.2%} / {mean[Effect.COUNT]:.2%}", met=True))
    lost = [trial.recovery for one in outcomes for trial in one.trials
            if trial.recovery is not Recovery.NOT_NEEDED]
    rows.append(Row(
        what=f"upsets of {UPSETS * len(outcomes)} that leave results out, and behind which neither a restart "
        "nor a reset makes the next inference right", floor="0",
        measured=f"{sum(one is Recovery.NONE for one in lost)} of {len(lost)}",
        met=Recovery.NONE not in lost))
    publish("upsets", rows)


if __name__ == "__main__":
    main()
