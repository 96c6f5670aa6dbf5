# SPDX-License-Identifier: MIT
"""Saving of pictures: drawn without a display, written completely or not at all."""

import io
from pathlib import Path

from firstspike_arch.program import write_atomically
from matplotlib.figure import Figure

__all__ = ["save_picture"]


def save_picture(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    write_atomically(path, buffer.getvalue())
