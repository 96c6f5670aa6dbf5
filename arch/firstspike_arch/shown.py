# SPDX-License-Identifier: MIT
"""Values as messages show them: in a few words, however large they are."""

import reprlib
from typing import Any

__all__ = ["said", "shortened", "shown"]

_SHORT = reprlib.Repr()
_SHORT.maxtuple = _SHORT.maxlist = _SHORT.maxset = _SHORT.maxdict = 6
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 80
_FEW = 8
"""Most numbers of an array that are shown one by one."""


def shown(value: Any) -> str:
    """A short value as Python writes it; of an array or tensor type and shape, and of what else is long its ends."""
    if hasattr(value, "dtype"):
        shape = [int(side) for side in value.shape]
        if len(shape) > 1 or sum(shape) > _FEW:
            return f"{str(value.dtype).removeprefix('torch.')}{shape}"
    return " ".join(_SHORT.repr(value).split())


def said(error: BaseException, most: int = 200) -> str:
    """What an error of a library says, in one line: some repeat the file that they could not read."""
    text = " ".join(f"{error}{' is missing' * isinstance(error, KeyError)}".split()) or type(error).__name__
    return shortened(text, most)


def shortened(text: str, most: int = 80) -> str:
    """A text; of one of more than ``most`` characters, its ends."""
    return text if len(text) <= most else f"{text[: most // 2]} … {text[-most // 2 :]}"
