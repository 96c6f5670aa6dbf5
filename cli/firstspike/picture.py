# SPDX-License-Identifier: MIT
"""Pictures as PNG files: drawn without a display, written completely or not at all."""

import io
from pathlib import Path

from firstspike_arch.program import write_atomically
from matplotlib.figure import Figure

__all__ = ["png", "save_picture"]


def png(figure: Figure) -> bytes:
    """Return a figure as a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()


def save_picture(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG file."""
    write_atomically(path, png(figure))
