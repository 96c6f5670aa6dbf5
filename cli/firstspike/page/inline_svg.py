# SPDX-License-Identifier: MIT
"""Inline SVG from matplotlib figures, in colours that the page's light or dark style chooses."""

import io
import re
from html import escape
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

__all__ = ["COLOURS", "SERIES", "figure", "inline_svg"]

COLOURS = {name: f"#00{index:02x}fe" for index, name in enumerate(
    ("ink", "muted", "grid", "card", "blue", "orange", "green", "red", "purple", "sky"), start=1)}
"""Colours by the names that the page's style gives them: stand-ins for its variables, used for nothing else."""

SERIES = ("blue", "orange", "green", "purple", "sky", "red")
"""Colours of several series, in their order: those of Okabe and Ito, which the colour-blind can tell apart."""

STYLE: Any = {
    "svg.fonttype": "none",  # text stays text: small, and read aloud
    "svg.hashsalt": "firstspike",  # the same figure gives the same file
    "font.size": 9, "axes.titlesize": 9, "axes.spines.top": False, "axes.spines.right": False,
    "axes.edgecolor": COLOURS["muted"], "axes.labelcolor": COLOURS["muted"], "text.color": COLOURS["ink"],
    "xtick.color": COLOURS["muted"], "ytick.color": COLOURS["muted"], "grid.color": COLOURS["grid"],
    "axes.titlecolor": COLOURS["ink"], "axes.axisbelow": True, "legend.frameon": False, "path.simplify": False,
}


def figure(width: float = 4.8, height: float = 2.6) -> Figure:
    """An empty figure, of a size in inches at which its text can be read on a phone."""
    return Figure(figsize=(width, height), layout="constrained")


def inline_svg(draw, *args: Any, name: str, alt: str, **options: Any) -> str:
    """Draw a figure, ``draw(*args, **options) -> Figure``, and return it as an SVG element for a page.

    Parameters
    ----------
    name : str
        Begins the ids within the element, which are unique on the page then.
    alt : str
        What the figure shows, for readers who do not see it.
    """
    with mpl.rc_context(STYLE):
        drawn: Figure = draw(*args, **options)
        buffer = io.StringIO()
        drawn.savefig(buffer, format="svg", transparent=True,
                      metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue()
    text = text[text.index("<svg"):]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r'(url\(|href=")#', rf"\1#{name}-", text)
    for variable, colour in COLOURS.items():
        text = text.replace(colour, f"var(--{variable})")
    text = re.sub(r"'DejaVu Sans'[^;\"]*", "var(--font)", text)
    text = re.sub(r"\n\s*", "\n", text)
    view = re.search(r'viewBox="[^"]+"', text)
    assert view, "matplotlib gives every SVG its view box"
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" {view[0]} role="img" '
            f'aria-label="{escape(alt)}" style="--wide:{drawn.get_figwidth() / 4.8:.2f}">')
    return f"{head}<title>{escape(alt)}</title>{text[text.index('>') + 1:].strip()}"
