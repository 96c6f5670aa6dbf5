# SPDX-License-Identifier: MIT
"""README and docs: short, with links that lead somewhere, commands that parse, and blocks that run as printed."""

import re
import shlex
from pathlib import Path

import pytest
import typer.main
from firstspike.main import app

ROOT = Path(__file__).parents[2]
PAGES = [*(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "run/README.md")),
         *sorted((ROOT / "docs").glob("*.md"))]
README = PAGES[0].read_text()


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[list[str]]:
    """Arguments of every line of a page's blocks that calls the command."""
    lines = [line for block in blocks(page.read_text(), "") for line in block.replace("\\\n", " ").splitlines()]
    return [shlex.split(line.removeprefix("$ "), comments=True)[1:] for line in lines
            if line.removeprefix("$ ").startswith("firstspike ")]


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_readme_is_short():
    assert len(README.encode()) <= 6000
    headlines = README.split("<!-- headlines: written by make bench -->\n")[1].split("<!-- end of headlines -->")[0]
    assert len(headlines.splitlines()) == 2 + 5 and "| - |" not in headlines


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", page.read_text())):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        other = page.parent / file if file else page
        assert other.exists(), target
        assert not anchor or anchor in anchors(other), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_parse(page):
    group = typer.main.get_command(app)
    for verb, *arguments in commands(page):
        group.get_command(None, verb).make_context(verb, arguments)  # raises what a user would read


def test_pages_have_commands():
    assert sum(len(commands(page)) for page in PAGES) > 30


def test_the_readme_prints_what_the_commands_print(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "zoo").symlink_to(ROOT / "zoo")
    (console,) = (block for block in blocks(README, "") if block.startswith("$ "))
    for part in console.split("$ firstspike ")[1:]:
        line, *printed = part.splitlines()
        status, said, _ = command(*shlex.split(line))
        assert status == 0
        assert {one for one in printed if one != "…"} <= {one.rstrip() for one in said.splitlines()}, said
    (code,) = blocks(README, "python")
    exec(code, {})
    assert (tmp_path / "build" / "firstspike.v").exists()


STAND_INS = (
    (r"zoo/mnist_", "zoo/digits_"), (r"\bmnist\.safetensors", "zoo/digits_ettfs.safetensors"),
    (r"/dev/ttyUSB0", "simulated"), (r"--data (mnist|nmnist\.npz|image\.png)", "--data digits"),
    (r"--lanes 128", "--lanes 16"),
    (r"^(upsets .*)", r"\1 --count 2"),
    (r"^compile (.*)", r"compile \1 --read-back"), (r"^monitor (.*)", r"monitor \1 --count 2"),
    (r"^((verify|estimate|quantise|report|robustness|run) .*)", r"\1 --limit 20"),
)
"""Patterns and what takes their place, so that the commands need no download and no board."""

NOT_RUN = ("train", "study", "data", "build")
"""Minutes of training, downloads, and tools of the synthesis extra."""


@pytest.mark.slow
def test_all_commands_run_in_order_in_one_folder_twice(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "zoo").symlink_to(ROOT / "zoo")
    lines = [shlex.join(one) for page in (PAGES[0], ROOT / "docs" / "commands.md") for one in commands(page)]
    lines = [line for line in lines if line.split()[0] not in NOT_RUN]
    assert len(lines) > 15
    for turn in range(2):
        for line in lines:
            for pattern, instead in STAND_INS:
                line = re.sub(pattern, instead, line)
            status, said, error = command(*shlex.split(line))
            assert status == 0, (turn, line, said, error)
