# SPDX-License-Identifier: MIT
"""The code of docs/bring_your_own.md runs as it stands there."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "bring_your_own.md"


def blocks(heading: str) -> str:
    """All Python below a heading."""
    section = PAGE.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return "\n".join(re.findall(r"```python\n(.*?)```", section, re.DOTALL))


@pytest.mark.parametrize(("heading", "module", "folder"), [
    ("From snnTorch", "snntorch", "build_snntorch"), ("From SpikingJelly", "spikingjelly", "build_spikingjelly")])
def test_the_page_runs(heading, module, folder, tmp_path, monkeypatch):
    pytest.importorskip(module, reason=f"needs pip install 'firstspike[{module}]'")
    monkeypatch.chdir(tmp_path)
    names: dict = {"__name__": "page"}
    exec(compile(blocks(heading), str(PAGE), "exec"), names)
    real, integer = float(names["right"]), (names["golden"].classes == names["labels"][1500:]).mean()
    assert real > 0.85 and integer > real - 0.03
    assert (tmp_path / folder / "manifest.json").is_file() and list((tmp_path / folder).glob("*.v"))
