# SPDX-License-Identifier: MIT
"""The SDRAM of a ULX3S as external memory: data rate by simulation of all of it, clock and cells by place and route.

Verilator runs LiteDRAM's controller with the cells of its pins, against a chip that checks every command.
"""

import statistics
import tempfile
from pathlib import Path

from firstspike_boards.open_flow import place_and_route, synthesise
from firstspike_boards.sdram_top import sdram_test_files
from firstspike_boards.ulx3s import ULX3S
from firstspike_hw.sdram.sdram_core import SdramCore, generate_core
from firstspike_sim.boards.sdram_bench import SdramPhase, run_sdram
from table import Row, publish

assert ULX3S.memory
CHIP = ULX3S.memory.chip
CLK_HZ = 50_000_000
DATA_BITS = 64
SEEDS = (1, 2, 3)
BEATS = 1024
"""Beats of the long request: 8 KiB, over rows of all four banks."""


def rate(core: SdramCore) -> list[Row]:
    """Cycles of a request of `BEATS` beats, and of requests of one beat, one behind the other, each in another row."""
    octets = DATA_BITS // 8
    row = 4 * 2 << CHIP.column_bits  # octets until the next row of the same bank
    written = [(0, 1), ((BEATS - 1) * octets, 2), *((place * row, 3 + place) for place in range(1, 9))]
    phases = [
        SdramPhase(writes=written, cycles=1000), SdramPhase(requests=[(0, BEATS)], cycles=6 * BEATS),
        *(SdramPhase(requests=[(place * row, 1)], cycles=100) for place in range(1, 9)),
    ]
    seen = run_sdram(core, phases, data_bits=DATA_BITS)
    faults = sum(phase["fault"] + phase["left"] for phase in seen)
    long, short = seen[1]["answers"], [phase["answers"][0] for phase in seen[2:]]
    right = len(long) == BEATS and [long[0][1], long[-1][1], *(one[1] for one in short)] == [1, 2, *range(4, 12)]
    cycles = long[-1][0] - long[0][0] + DATA_BITS // 16
    megabytes = BEATS * octets * CLK_HZ / cycles / 1e6
    peak = 2 * CLK_HZ / 1e6
    first = [answer[0] for answer in short]
    return [
        Row(what=f"SDRAM of a ULX3S, 16 bits at {CLK_HZ / 1e6:.0f} MHz: a request of {BEATS * octets} octets, refresh "
                 "included; simulated", floor=f"≥ 80 of {peak:.0f} MB/s, no rule of the chip broken",
            measured=f"{megabytes:.1f} MB/s, {faults} faults", met=megabytes >= 80 and not faults and right),
        Row(what="… cycles from a request in another row to its first beat of 64 bits; simulated", floor="≤ 40",
            measured=f"{min(first)}…{max(first)}", met=max(first) <= 40),
    ]


def clock(core: SdramCore) -> Row:
    """Controller, port, starter and the test of all the memory, with pins."""
    setting = ULX3S.family.pll.fastest(ULX3S.input_hz, CLK_HZ)
    flow = ULX3S.family.flow
    with tempfile.TemporaryDirectory() as name:
        netlist = synthesise(ULX3S.family.synthesis, sdram_test_files(ULX3S, setting, core), Path(name), top="top")
        flow.improve(netlist)
        placed = place_and_route(flow, netlist, [*ULX3S.place, *flow.place], Path(name), seeds=SEEDS, mhz=setting.mhz)
    fmax, used = statistics.median(one.fmax_mhz for one in placed), placed[0].used
    return Row(what=f"… controller, port, starter, memory test on ECP5-85F speed 6, median of {len(SEEDS)} seeds",
               floor=f"≥ {setting.mhz:.0f} MHz", met=fmax >= setting.mhz,
               measured=f"{fmax:.1f} MHz, {used['TRELLIS_COMB'][0]} TRELLIS_COMB, {used['TRELLIS_FF'][0]} flip-flops")


def main() -> None:
    core = generate_core(CHIP, CLK_HZ)
    publish("sdram", [*rate(core), clock(core)])


if __name__ == "__main__":
    main()
