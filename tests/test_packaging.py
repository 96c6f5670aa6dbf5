# SPDX-License-Identifier: MIT
"""What is published: the files of the wheels, one version, and, from the source distribution on, that it works."""

import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
from importlib import import_module
from pathlib import Path

import pytest
from firstspike import __version__
from firstspike_arch.versions import VERSION
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[1]
PACKAGES = sorted(path.parent for path in ROOT.glob("*/firstspike*/__init__.py"))


def files_in(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts}


def published(builder: type[SdistBuilder] | type[WheelBuilder], root: Path = ROOT) -> set[str]:
    """Names of the files that a distribution holds."""
    return {file.distribution_path for file in builder(str(root)).recurse_included_files()}


def test_the_wheel_holds_every_file_of_every_package():
    names = published(WheelBuilder)
    assert len(PACKAGES) == 8
    wanted = {path.relative_to(package.parent).as_posix() for package in PACKAGES for path in files_in(package)}
    wanted |= {f"firstspike/{folder}/{path.name}" for folder in ("recipes", "zoo") for path in files_in(ROOT / folder)}
    assert names == wanted
    assert {f"{package.name}/py.typed" for package in PACKAGES} <= names
    assert {"firstspike/templates/firstspike.core.j2", "firstspike_sim/backends/native/driver.cpp",
            "firstspike_sim/boards/sdram_chip.v", "firstspike/__main__.py"} <= names
    assert all(name.startswith("firstspike") for name in names)  # nothing generic in site-packages


def test_the_source_distribution_holds_what_its_tests_need():
    names = published(SdistBuilder)
    rooms = {package.parent for package in PACKAGES}
    folders = rooms | {ROOT / name for name in ("recipes", "zoo", "docs", "examples", "notebooks", "findings")}
    assert {path.relative_to(ROOT).as_posix() for folder in folders for path in files_in(folder)} <= names
    assert {"tests/test_packaging.py", "tests/mutants/hw.toml", "constraints.txt", "Makefile", "README.md"} <= names
    assert not {name for name in names if name.startswith((".venv", ".git/", "build/", "site/"))}


def test_there_is_one_version():
    assert __version__ == VERSION
    for root in (ROOT, ROOT / "run"):
        builder = WheelBuilder(str(root))
        assert builder.metadata.version == VERSION
    for kind in (WheelBuilder(str(ROOT)).metadata.core.scripts, WheelBuilder(str(ROOT)).metadata.core.entry_points[
            "pytest11"]):
        for place in kind.values():
            module, _, name = place.partition(":")
            assert not name or callable(getattr(import_module(module), name))


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A virtual environment with the wheel that was made from the source distribution, which lies unpacked beside it.

    Dependencies are those of this environment; of firstspike, there is only the wheel.
    """
    folder = tmp_path_factory.mktemp("installed")
    hatchling = [sys.executable, "-m", "hatchling", "build", "-d", folder, "-t"]
    subprocess.run([*hatchling, "sdist"], cwd=ROOT, check=True)
    (packed,) = folder.glob("firstspike-*.tar.gz")
    with tarfile.open(packed) as archive:
        archive.extractall(folder, filter="data")
    (folder / f"firstspike-{VERSION}").rename(folder / "source")
    subprocess.run([*hatchling, "wheel"], cwd=folder / "source", check=True)
    (wheel,) = folder.glob("firstspike-*.whl")
    venv.create(folder / "venv", symlinks=True)
    (site,) = (folder / "venv").glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    subprocess.run([sys.executable, "-m", "pip", "--python", folder / "venv", "install", "--quiet", "--no-deps",
                    "--force-reinstall", "--no-index", wheel], check=True)
    return folder


def alone(installed: Path, *command: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """A program of that environment, with nothing of this repository on any path."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "FIRSTSPIKE_DATA")}
    program, *arguments = command
    return subprocess.run([installed / "venv" / "bin" / program, *arguments], cwd=folder, env=environment, text=True,
                          capture_output=True, check=False, timeout=1800)


@pytest.mark.slow
def test_the_installed_wheel_trains_compiles_and_verifies(installed, tmp_path):
    code = "import firstspike as fs, firstspike_sim as sim; print(fs.__file__, sim.__file__, fs.__version__)"
    where = alone(installed, "python", "-c", code, folder=tmp_path).stdout.split()
    assert all(path.startswith(str(installed / "venv")) for path in where[:2]) and where[2] == VERSION
    for command in (["firstspike"], ["python", "-m", "firstspike"]):
        said = alone(installed, *command, "--help", folder=tmp_path)
        assert said.returncode == 0 and "compile" in said.stdout, said.stderr
    done = alone(installed, "firstspike", "demo", folder=tmp_path)
    assert done.returncode == 0 and "agree on everything" in done.stdout, done.stderr
    manifest = json.loads((tmp_path / "demo" / "build" / "manifest.json").read_text())
    assert manifest["made_with"]["firstspike"] == VERSION


@pytest.mark.slow
def test_tests_run_in_the_source_distribution(installed):
    done = alone(installed, "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_tiny.py",
                 "tests/arch/test_program.py", folder=installed / "source")
    assert done.returncode == 0 and "passed" in done.stdout, done.stdout
