# SPDX-License-Identifier: MIT
"""What the twins quote stands in the docstrings of the hardware."""

import ast
import re
from pathlib import Path

import firstspike_hw
import firstspike_sim.timing


def docstrings(package) -> list[tuple[str, str]]:
    """File and docstring of every module, class and function, with single spaces."""
    found = []
    for path in sorted(Path(package.__path__[0]).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
                found.append((path.name, " ".join(str(ast.get_docstring(node)).split())))
    return found


def plain(text: str) -> str:
    return re.sub(r"[`.,:;]", "", text).casefold()


def test_twins_quote_what_the_units_say():
    hardware = plain(" ".join(text for _, text in docstrings(firstspike_hw)))
    quoted = [(name, quote) for name, text in docstrings(firstspike_sim.timing)
              for quote in re.findall(r'"([^"]{8,})"', text)]
    assert len(quoted) > 30
    wrong = [f"{name}: {quote}" for name, quote in quoted if plain(quote) not in hardware]
    assert not wrong, "\n".join(wrong)
