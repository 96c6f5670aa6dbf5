# SPDX-License-Identifier: MIT
"""Building a board folder again, from what its report says."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from firstspike_arch.output_folder import read_record
from firstspike_arch.plain import decode
from firstspike_arch.program import Program
from firstspike_arch.shown import shown

from .bitstream import MADE_BY, PROGRAM_FILE, REPORT, build_bitstream, write_project
from .boards import BOARDS

__all__ = ["rebuild"]


@dataclass(frozen=True, kw_only=True)
class _MadeFrom:
    """The arguments of `build_bitstream` or `write_project`, as a report holds them; see there."""

    board: str
    transport: Literal["uart", "spi"]
    clock_hz: float | None
    baud: int
    seeds: tuple[int, ...] = ()


def rebuild(folder: Path, again: Path, progress: Callable[[str], None] = lambda text: None) -> Mapping:
    """Build what is in ``folder`` once more, in the folder ``again``, and return its report.

    Raises
    ------
    ValueError
        The report does not say what the folder was built from.
    PllError, ProgramError, ToolError
        As of `build_bitstream`.
    """
    report = read_record(folder, REPORT, MADE_BY)
    if report is None or "made_from" not in report:
        raise ValueError(f"{folder / REPORT}: must say what the folder was built from (made_from); it is of an older "
                         "version, truncated or altered: build again")
    try:
        made = decode(_MadeFrom, report["made_from"])
    except ValueError as error:
        raise ValueError(f"{folder / REPORT}: made_from: {error}") from None
    if made.board not in BOARDS:
        raise ValueError(
            f"{folder / REPORT}: made_from: board must be one of {', '.join(BOARDS)}, not {shown(made.board)}")
    board, program = BOARDS[made.board].with_transport(made.transport), Program.load(folder / PROGRAM_FILE)
    if board.family.flow is None:
        return write_project(board, program, again, clock_hz=made.clock_hz, baud=made.baud)
    return build_bitstream(board, program, again, clock_hz=made.clock_hz, baud=made.baud, seeds=made.seeds,
                           progress=progress)
