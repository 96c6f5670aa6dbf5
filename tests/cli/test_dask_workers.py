# SPDX-License-Identifier: MIT
"""Jobs on dask workers: one that is killed loses no result and doubles none, and what is wrong is one sentence."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cloudpickle
import firstspike as fs
import numpy as np
import psutil
import pytest
from distributed import LocalCluster
from firstspike import dask_workers
from firstspike.campaign import CampaignError, Workers, run_jobs
from firstspike.dask_workers import versions_here
from firstspike.job_folder import JobFolder
from firstspike.verb_demo import shipped
from firstspike_hw.toolchain import ToolError

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers elsewhere have no tests

JOBS = {f"job{number}": number for number in range(8)}
SQUARES = {key: {"square": number**2} for key, number in JOBS.items()}


@pytest.fixture(autouse=True)
def workers_find_this_module(monkeypatch):
    """Processes of this machine have the path that this one has; what they cannot find they wait for, for ever."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2])


def square(common: str, number: int) -> dict:
    """A job; number 3 kills its process the first time if ``common`` names a folder, where all note that they ran."""
    if common:
        with (Path(common) / f"ran{number}").open("a") as file:
            file.write(f"{os.getpid()}\n")
        if number == 3 and len((Path(common) / "ran3").read_text().split()) == 1:
            os.kill(os.getpid(), signal.SIGKILL)
    return {"square": number**2}


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "jobs").glob("*.json")}


def test_a_killed_worker_loses_no_result_and_doubles_none(tmp_path):
    calm, struck = JobFolder(tmp_path / "calm", {"seed": 1}), JobFolder(tmp_path / "struck", {"seed": 1})
    assert run_jobs(square, "", JOBS, folder=calm) == SQUARES
    seen = []
    found = run_jobs(square, str(tmp_path), JOBS, folder=struck, workers=Workers(processes=2, tools=()),
                     progress=lambda *counts: seen.append(counts))
    assert found == SQUARES and [*found] == [*JOBS]
    assert seen == [(done, 8) for done in range(9)]
    processes = [(tmp_path / f"ran{number}").read_text().split() for number in range(8)]
    assert len({*processes[3]}) == 2 and os.getpid() not in {int(one) for ran in processes for one in ran}
    assert files(tmp_path / "struck") == files(tmp_path / "calm") and len(files(tmp_path / "calm")) == 9
    assert {path.name for path in (tmp_path / "struck" / "jobs").glob("*.log")} == {f"{key}.log" for key in JOBS}


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """A scheduler in this process, as if it were elsewhere, without workers."""
    with LocalCluster(n_workers=0, processes=False, protocol="tcp", dashboard_address=None) as found:
        yield found


def sentence(scheduler: str, *, tools: tuple[str, ...] = ()) -> str:
    with pytest.raises(ValueError) as raised:
        run_jobs(square, "", JOBS, workers=Workers(scheduler=scheduler, tools=tools))
    return str(raised.value)


def test_schedulers_that_are_none(cluster, monkeypatch):
    monkeypatch.setattr(dask_workers, "ANSWER_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for address, why in (("nonsense", "missing port number in address 'nonsense'"),
                             ("bad://host:8786", "unknown address scheme 'bad'"),
                             ("tcp://127.0.0.1:1", "Timed out trying to connect to tcp://127.0.0.1:1"),
                             (f"tcp://127.0.0.1:{silent.getsockname()[1]}", "")):
            said = sentence(address)
            assert said.startswith("--scheduler must be the address of a dask scheduler that answers within 0 s, such "
                                   f"as tcp://HOST:8786, not '{address}': ") and why in said, said
    monkeypatch.setattr(dask_workers, "ANSWER_SECONDS", 3.0)  # here one answers, on a busy machine, too
    assert sentence(cluster.scheduler_address) == (
        f"the scheduler at {cluster.scheduler_address} must have workers: start some with 'dask worker "
        f"{cluster.scheduler_address}'")


def test_workers_with_other_versions_do_nothing(cluster, monkeypatch):
    wanted = {**versions_here(()), "verilator": "missing"}
    cluster.scale(1)
    assert run_jobs(square, "", JOBS, workers=Workers(scheduler=cluster.scheduler_address, tools=())) == SQUARES
    monkeypatch.setattr(dask_workers, "versions_here", lambda tools: {**wanted, "verilator": "5.1"})
    monkeypatch.setattr(dask_workers, "_ask", lambda tools: wanted)
    said = sentence(cluster.scheduler_address, tools=("verilator",))
    assert said.startswith("the worker tcp://127.0.0.1:") and said.endswith(
        "must have the versions that are here: verilator 5.1, not missing")
    late = dask_workers._job(square, "", 1, (), {**versions_here(()), "firstspike": "0.0"})
    assert late.result is None and late.failure.startswith("its worker must have the versions that are here: ")


def test_dask_that_is_missing_is_named_with_its_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.delitem(sys.modules, "firstspike.dask_workers")
    with pytest.raises(ToolError, match=r"^dask.distributed must be installed for several jobs at a time: pip install "
                                        r"'firstspike\[campaigns\]'; --processes 1 does without$"):
        run_jobs(square, "", JOBS, workers=Workers(processes=2))
    assert run_jobs(square, "", JOBS) == SQUARES


@pytest.mark.slow
def test_a_job_that_kills_every_worker_fails(tmp_path):
    """With it may fail what waited on the same workers: dask does not tell the two apart. The next start does them."""
    def kill(common: None, number: int) -> dict:
        if number == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.3)
        return {"square": number**2}

    with pytest.raises(CampaignError, match=r"^\d of 8 jobs failed, first job\d .*: its workers were killed, again and "
                                            r"again: .*; \d of 8 jobs are done"):
        run_jobs(kill, None, JOBS, folder=JobFolder(tmp_path, {}), workers=Workers(processes=2, tools=()))
    folder = JobFolder(tmp_path, {})
    assert "job3" not in folder.results() and "killed" in (tmp_path / "jobs" / "job3.log").read_text()
    assert run_jobs(square, "", JOBS, folder=folder) == SQUARES


@pytest.mark.slow
def test_jobs_that_depend_on_outcomes_wait_for_them():
    done = []

    def jobs() -> Iterator[tuple[str, int]]:
        for number in range(6):
            assert number - len(done) < 2, "as many as run at a time"
            yield str(number), number

    for key, outcome in Workers(processes=2, tools=()).outcomes(square, "", jobs(), ahead=False):
        assert outcome.result == {"square": int(key) ** 2}
        done.append(key)
    assert sorted(done) == [*"012345"]


COMMANDS = {"verify": (["--waits", "5"], "verify.json"), "upsets": (["--count", "150", "--runs", "2"], "upsets.json")}


@pytest.mark.slow
@pytest.mark.parametrize("verb", COMMANDS)
def test_a_campaign_whose_worker_is_killed_reports_the_same(verb, tmp_path):
    fs.export(fs.compile(fs.load(shipped("zoo", "digits_ettfs.safetensors")), lanes=8), tmp_path / "build")
    np.save(tmp_path / "inputs.npy", np.random.default_rng(0).integers(0, 256, (4000, 64)).astype(np.uint8))
    options, report = COMMANDS[verb]

    def begin(output: str, *more: str) -> subprocess.Popen:
        return subprocess.Popen([
            sys.executable, "-c", "from firstspike.main import run; run()", verb, "build", "--data", "inputs.npy",
            *options, "-o", output, *more], cwd=tmp_path, stdout=subprocess.DEVNULL)

    def kept(output: str) -> int:
        return max(0, len([*(tmp_path / output / "jobs").glob("*.json")]) - 1)

    def wait(command: subprocess.Popen, output: str, count: int) -> None:
        while kept(output) < count:
            assert command.poll() is None
            time.sleep(0.02)

    assert begin("calm", "--processes", "1").wait(600) == 0
    struck = begin("struck", "--processes", "2")
    wait(struck, "struck", 2)
    workers = [one for one in psutil.Process(struck.pid).children(recursive=True)
               if any("spawn_main" in part for part in one.cmdline())]
    assert len(workers) == 2
    workers[0].send_signal(signal.SIGKILL)
    assert kept("struck") < kept("calm") - 2, "it is in the middle"
    assert struck.wait(600) == 0
    ended = begin("ended", "--processes", "2")
    wait(ended, "ended", 2)
    ended.send_signal(signal.SIGINT)
    assert ended.wait(60) == 1 and 2 <= kept("ended") < kept("calm")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "ended" / "jobs").glob("*.json")}
    assert begin("ended", "--processes", "1").wait(600) == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    for output in ("struck", "ended"):
        assert files(tmp_path / output) == files(tmp_path / "calm")
        assert (tmp_path / output / report).read_bytes() == (tmp_path / "calm" / report).read_bytes()
