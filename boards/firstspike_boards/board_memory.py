# SPDX-License-Identifier: MIT
"""What a program with external weights asks of a board: a memory that has room for them, and a clock that it stands."""

from firstspike_arch.memory_image import require_room
from firstspike_arch.program import Program

from .board import Board, BoardMemory
from .boards import BOARDS
from .pll import PllSetting

__all__ = ["memory_of", "pll_setting"]


def memory_of(board: Board, program: Program) -> BoardMemory:
    """Return the memory of a board, for a program with external weights.

    Raises
    ------
    ValueError
        The board has none.
    MemoryImageError
        The weights do not fit.
    """
    if board.memory is None:
        able = [one.name for one in BOARDS.values() if one.memory]
        raise ValueError(f"{board.name} must have a memory for the weights of "
                         f"{', '.join(core.layer.name for core in program.external)}, which were compiled for one, but "
                         f"has none that is supported; {', '.join(able)} has")
    require_room(program.external_segments, board.memory.chip.size, f"the SDRAM of {board.name}")
    return board.memory


def pll_setting(board: Board, program: Program, clock_hz: float | None) -> PllSetting:
    """Return the setting for a clock, None for the board's own.

    Raises
    ------
    PllError, ValueError
        The PLL cannot make it, or it is too fast for the board's memory, or there is none for the program.
    """
    own = board.clock_hz
    if program.external:
        own = min(own, memory_of(board, program).clock_hz)
        if clock_hz is not None and clock_hz > own:
            raise ValueError(f"clock must be ≤ {own / 1e6:g} MHz with weights in the SDRAM of {board.name}, whose data "
                             f"comes back half a period later, not {clock_hz / 1e6:g} MHz")
    return board.family.pll.fastest(board.input_hz, own if clock_hz is None else clock_hz)
