# SPDX-License-Identifier: MIT
"""All supported boards, by name."""

from .arty_a7_35t import ARTY_A7_35T
from .arty_a7_100t import ARTY_A7_100T
from .arty_z7 import ARTY_Z7
from .icebreaker import ICEBREAKER
from .orangecrab import ORANGECRAB
from .tang_nano_9k import TANG_NANO_9K
from .ulx3s import ULX3S

__all__ = ["BOARDS"]

BOARDS = {board.name: board for board in (
    ICEBREAKER, ULX3S, ORANGECRAB, TANG_NANO_9K, ARTY_A7_35T, ARTY_A7_100T, ARTY_Z7,
)}
