# SPDX-License-Identifier: MIT
"""firstspike build FOLDER --board BOARD"""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from firstspike_arch.program import Program
from firstspike_arch.shown import shown
from rich.console import Console
from rich.table import Table

from .build_folder import read_build
from .options import Build
from .progress import shown_stage

if TYPE_CHECKING:
    from firstspike_boards.board import Board


def build(
    folder: Build,
    board: Annotated[str, typer.Option(
        help="Board: icebreaker, ulx3s, orangecrab, tangnano9k, arty-a7-35t, arty-a7-100t or arty-z7-20.")],
    output: Annotated[Path | None, typer.Option(
        "-o", "--output", help="Folder to write; default: FOLDER-BOARD.")] = None,
    clock_mhz: Annotated[float | None, typer.Option(
        help="Clock of the accelerator, to be met; default: the board's, or the fastest below it that is "
        "reached.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Number of placements to try, in parallel.")] = 3,
    transport: Annotated[str, typer.Option(help="Transport of the host link: uart or spi.")] = "uart",
    baud: Annotated[int | None, typer.Option(min=1, help="Bit rate of the UART; default: the board's.")] = None,
) -> None:
    """Build the bitstream of a board, or a project for the vendor's tools; new weights alone take seconds."""
    from firstspike_boards.bitstream import build_bitstream, write_project
    from firstspike_boards.board_memory import pll_setting
    from firstspike_boards.boards import BOARDS

    if board not in BOARDS:
        raise ValueError(f"--board must be one of {', '.join(BOARDS)}, not {shown(board)}")
    chosen = BOARDS[board].with_transport(transport)
    program, _ = read_build(folder)
    clock_hz = None if clock_mhz is None else clock_mhz * 1e6
    if program.external:
        pll_setting(chosen, program, clock_hz)  # refuses boards and clocks
    refuse_too_large(chosen, program)
    named = folder if folder.name else folder.resolve()
    output = named.with_name(f"{named.name}-{board}") if output is None else output
    console = Console(highlight=False)
    if chosen.family.flow is None:
        with shown_stage(console) as stage:
            stage("writing the project, and counting its cells")
            report = write_project(chosen, program, output, clock_hz=clock_hz, baud=baud)
    else:
        with shown_stage(console) as stage:
            report = build_bitstream(chosen, program, output, clock_hz=clock_hz, baud=baud,
                                     seeds=range(1, seeds + 1), progress=stage)
    show(console, chosen, report)
    if program.external:
        console.print(f"'firstspike run' loads {program.external_octets:,} octets of weights into the SDRAM, "
                      "again after each start of the board")
    console.print(f"written to {output}")


def refuse_too_large(board: "Board", program: Program) -> None:
    """Refuse a program that cannot fit a board.

    Raises
    ------
    ValueError
        The program does not fit; the message has the numbers and the nearest choice that fits.
    """
    from firstspike_boards.bitstream import block_rams
    from firstspike_boards.boards import BOARDS

    from .mapping import nearest_lanes

    device, name = board.device, program.network.name
    # Every processing element takes at least one LUT for each bit of its membrane adder.
    luts = sum(core.plan.elements * core.plan.membrane_bits for core in program.cores)
    if luts > device.luts:
        raise ValueError(f"{name} must fit the {device.luts} LUTs of {board.title}, but its processing elements alone "
                         f"take {luts}; fewer lanes would fit")
    large = {shape.name: device.large_blocks_of(shape) for shape in program.memories() if shape.single_port}
    if sum(large.values()) > device.large_blocks:
        raise ValueError(f"{name} must fit the {device.large_blocks} large RAMs of {board.title}, but takes "
                         f"{sum(large.values())}, for {', '.join(large)}; it would fit with fewer weight bits, or with "
                         f"lanes that fill words of {device.large_shape[1]} bits")
    found = block_rams(board, program)
    if sum(found.values()) <= device.blocks:
        return
    largest = max(found, key=lambda memory: found[memory])
    cores = sum(device.blocks_of_all(core.memories) for core in program.cores)
    lanes = nearest_lanes(program, device, device.blocks - (sum(found.values()) - cores))
    larger = sorted((one for one in BOARDS.values() if (one.memory or not program.external)
                     and sum(block_rams(one, program).values()) <= one.device.blocks),
                    key=lambda one: one.device.blocks)
    nearest = [] if lanes is None else [f"with --lanes {','.join(map(str, lanes))}"]
    for index, shape in enumerate(program.memories()):
        room = device.large_blocks - sum(large.values()) - device.large_blocks_of(replace(shape, single_port=True))
        if device.large_blocks and room >= 0 and sum(found.values()) - found.get(shape.name, 0) <= device.blocks:
            nearest.append(f"with --single-port {index}")
    nearest += [f"on {one.name}, which has {one.device.blocks}" for one in larger[:1]]
    raise ValueError(
        f"{name} must fit the {device.blocks} block RAMs of {board.title}, but takes {sum(found.values())}, "
        f"{found[largest]} of them for {largest}; "
        + (f"it would fit {' or '.join(nearest)}" if nearest else "no known board is enough"))


def show(console: Console, board: "Board", report: dict) -> None:
    """Print the report of a build as tables."""
    clock = report["clock"]
    if "cells" in report:
        table = Table("cell", "number", title=f"{board.title}, by yosys; clock {clock['mhz']:g} MHz")
        for cell, number in report["cells"].items():
            table.add_row(cell, str(number))
        console.print(table)
        return
    table = Table("resource", "used", "of", title=f"{board.title}: {clock['mhz']:g} MHz, "
                                                  f"{report['fmax_mhz']:g} MHz reached by seed {report['seed']}")
    for cell, (used, available) in report["utilisation"].items():
        table.add_row(cell, str(used), str(available))
    console.print(table)
    table = Table("unit", "logic, ns", "routing, ns", title="longest path")
    for unit, delay in report["critical_path_ns"].items():
        table.add_row(unit, f"{delay['logic']:.1f}", f"{delay['routing']:.1f}")
    console.print(table)
    seconds = report["seconds"]
    console.print(f"place and route {seconds['place_and_route']:.0f} s; weights patched and packed in "
                  f"{seconds['patch_and_pack']:.1f} s; every bit of "
                  f"{', '.join(memory['name'] for memory in report['memories'])} equals the images")
