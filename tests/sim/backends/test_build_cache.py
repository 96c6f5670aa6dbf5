# SPDX-License-Identifier: MIT
"""Builds that are kept: made once, by whoever is first, told apart by all that goes in, and not without limit."""

import os
import tempfile
import time
from pathlib import Path

import pytest
from firstspike_hw.toolchain import Tool, ToolError
from firstspike_sim.backends import build_cache
from firstspike_sim.backends.build_cache import build_once, shared_runtime, tool_identity


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("FIRSTSPIKE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def writing(text: str, done: list[str]):
    def build(folder: Path) -> list[Path]:
        done.append(text)
        (folder / "scrap").write_text("not kept")
        (folder / "tool").write_text(text)
        return [folder / "tool"]

    return build


def test_what_was_built_of_the_same_parts_is_found(cache):
    done: list[str] = []
    first, again, other = (build_once(parts, writing(text, done)) for parts, text in (
        (["a", "bc"], "one"), (["a", "bc"], "two"), (["ab", "c"], "three")))
    assert first == again != other and done == ["one", "three"]
    assert [file.name for file in first.iterdir()] == ["tool"] and (first / "tool").read_text() == "one"
    assert sorted(cache.iterdir()) == sorted([first, other])


def test_the_first_of_two_that_build_at_once_is_kept(cache):
    done: list[str] = []

    def late(folder: Path) -> list[Path]:
        build_once(["same"], writing("first", done))
        return writing("second", done)(folder)

    kept = build_once(["same"], late)
    assert done == ["first", "second"] and (kept / "tool").read_text() == "first"
    assert list(cache.iterdir()) == [kept]


def test_a_build_that_fails_leaves_nothing(cache):
    def failing(folder: Path) -> list[Path]:
        (folder / "half").write_text("")
        raise RuntimeError("no compiler")

    with pytest.raises(RuntimeError, match="no compiler"):
        build_once(["x"], failing)
    assert list(cache.iterdir()) == []


def test_the_cache_is_bounded_and_what_was_just_used_stays(monkeypatch):
    monkeypatch.setattr(build_cache, "LIMIT_BYTES", 20)
    kept = {name: build_once([name], writing(name * 8, [])) for name in "abc"}
    assert all(folder.exists() for folder in kept.values())  # 24 bytes, but all of the last hour
    for age, name in enumerate("bca", start=1):
        used = time.time() - 2 * build_cache.RECENT_SECONDS + age
        os.utime(kept[name], (used, used))
    build_once(["a"], writing("", []))  # used again
    build_once(["d"], writing("d" * 8, []))
    assert [name for name, folder in kept.items() if folder.exists()] == ["a"]


def test_objects_of_the_runtime_are_compiled_once(tmp_path):
    def made(name: str, parts: list[str], content: str) -> dict[str, str]:
        """What a build finds, and leaves as an object that the next one may find."""
        with shared_runtime(tmp_path / name, parts):
            found = {file.name: file.read_text() for file in (tmp_path / name).iterdir()}
            for file in ("verilated.o", f"verilated_{content}.o", "model.o"):
                if not (tmp_path / name / file).exists():
                    (tmp_path / name / file).write_text(content)
        return found

    assert made("first", ["-O0"], "x") == {}
    assert made("second", ["-O0"], "y") == {"verilated.o": "x", "verilated_x.o": "x"}
    assert made("third", ["-O0"], "z") == {"verilated.o": "x", "verilated_x.o": "x", "verilated_y.o": "y"}
    assert made("other", ["-O2"], "x") == {}
    assert (tmp_path / "second" / "verilated.o").stat().st_mtime > time.time()  # for make: not to be made again


def test_a_cache_whose_path_has_blanks_is_built_for_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("FIRSTSPIKE_CACHE", str(tmp_path / "a cache"))
    folders: list[str] = []

    def build(folder: Path) -> list[Path]:
        folders.append(str(folder))
        return writing("one", [])(folder)

    kept = build_once(["a"], build)
    assert (kept / "tool").read_text() == "one" and kept.parent == tmp_path / "a cache"
    assert " " not in folders[0] and not Path(folders[0]).exists()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "a cache"))
    with pytest.raises(ToolError, match=rf"^\$FIRSTSPIKE_CACHE or \$TMPDIR must be a path without blanks, for make to "
                                        rf"build in, not {tmp_path}/a cache and {tmp_path}/a cache$"):
        build_once(["another"], writing("", []))


def test_another_tool_of_the_same_version_is_another(tmp_path):
    def identity() -> tuple[str, ...]:
        return tool_identity(Tool(name="tool", command=(str(tmp_path / "tool"),), version=(1, 2)))

    (tmp_path / "tool").write_text("one")
    (tmp_path / "tool").chmod(0o755)
    first = identity()
    (tmp_path / "tool").write_text("two")
    assert identity() != first
    (tmp_path / "tool").write_text("one")
    assert identity() == first, "written again, as by an installation"
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "tool").rename(tmp_path / "elsewhere" / "tool")
    assert tool_identity(Tool(name="tool", command=(str(tmp_path / "elsewhere" / "tool"),), version=(1, 2))) == first
