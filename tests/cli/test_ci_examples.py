# SPDX-License-Identifier: MIT
"""The sample project and its CI jobs: their commands, in the environment of the tests and in an empty one."""

import json
import os
import resource
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

pytest_plugins = "pytester"

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "examples" / "ci"
LIMITS = 120, 20
"""Seconds of CPU time of the tests, in an empty environment without and with the cache of simulators."""

TESTS = 3
"""Two of the network that the configuration lists, with and without waits, and one of the project's own."""


def github() -> list[str]:
    steps = yaml.safe_load((SAMPLE / ".github/workflows/verify.yml").read_text())["jobs"]["hardware"]["steps"]
    return [step["run"] for step in steps if "run" in step]


def gitlab() -> list[str]:
    return yaml.safe_load((SAMPLE / ".gitlab-ci.yml").read_text())["hardware"]["script"]


JOBS = {"github": github, "gitlab": gitlab}


def reported(folder: Path) -> list[dict]:
    return json.loads((folder / "report.json").read_text())["verifications"]


def shown_in_docs(file: str) -> bool:
    """Whether docs/ci.md shows the file as it is."""
    return (SAMPLE / file).read_text() in (ROOT / "docs" / "ci.md").read_text()


@pytest.mark.slow
def test_the_jobs_pass_in_this_environment(pytester, said):
    install, run = github()
    assert gitlab() == [install, run] and install == "pip install firstspike"
    program, *arguments = shlex.split(run)
    assert program == "pytest"
    shutil.copytree(SAMPLE, pytester.path, dirs_exist_ok=True)
    done = said(*arguments, "--firstspike-backend", "pysim", "--firstspike-limit", "1")
    done.assert_outcomes(passed=TESTS)
    assert [one["different"] for one in reported(pytester.path)] == [0] * TESTS
    assert (pytester.path / "report.xml").exists()


def test_the_page_shows_the_files_as_they_are():
    for file in (".github/workflows/verify.yml", ".gitlab-ci.yml", "pyproject.toml"):
        assert shown_in_docs(file), file


@pytest.mark.slow
def test_the_jobs_pass_from_an_empty_environment_and_faster_with_the_cache(tmp_path):
    """Prints the seconds of each command."""
    def call(*command: str, **options) -> tuple[float, float]:
        begun, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, text=True, capture_output=True, **options)
        assert done.returncode == 0, done.stdout + done.stderr
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(f"{used:6.1f} s of CPU, {time.monotonic() - begun:6.1f} s: {shlex.join(command)}")
        return used, time.monotonic() - begun

    wheels = tmp_path / "wheels"
    call(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(wheels), str(ROOT))
    call(sys.executable, "-m", "venv", str(tmp_path / "empty"))
    kept = ("HOME", "TMPDIR", "LANG", *(name for name in os.environ if name.startswith(("PIP_", "SSL_", "XDG_"))))
    environment = {name: os.environ[name] for name in kept if name in os.environ} | {
        "PATH": f"{tmp_path / 'empty' / 'bin'}{os.pathsep}/usr/bin{os.pathsep}/bin",
        "PIP_FIND_LINKS": f"{os.environ.get('PIP_FIND_LINKS', '')} {wheels}",
        "PIP_CONSTRAINT": str(ROOT / "constraints.txt"), "FIRSTSPIKE_CACHE": str(tmp_path / "a cache")}
    used = []
    for job, commands in JOBS.items():
        folder = tmp_path / job
        shutil.copytree(SAMPLE, folder)
        for command in commands():
            used.append(call("bash", "-c", command, cwd=folder, env=environment))
        assert [one["different"] for one in reported(folder)] == [0] * TESTS
        assert {one["backend"] for one in reported(folder)} == {"verilator"}
        assert min(one["inferences"] for one in reported(folder)) == 40
    assert used[1][0] <= LIMITS[0] and used[3][0] <= LIMITS[1], used
