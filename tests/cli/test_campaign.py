# SPDX-License-Identifier: MIT
"""Campaigns: every job is done once whatever happens to its worker, what is done is kept, and ends say how to go on."""

import os
import signal
import sys
from pathlib import Path

import cloudpickle
import numpy as np
import pytest
from firstspike.campaign import CampaignError, Workers, run_jobs
from firstspike.job_folder import JobFolder, digest_of_input

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers have no tests

JOBS = {f"job{number}": number for number in range(8)}
SQUARES = {key: {"square": number**2} for key, number in JOBS.items()}


def square(common: str, number: int) -> dict:
    """A job; number 3 kills its process the first time if ``common`` names a folder, where all note that they ran."""
    if common:
        with (Path(common) / f"ran{number}").open("a") as file:
            file.write(f"{os.getpid()}\n")
        if number == 3 and len((Path(common) / "ran3").read_text().split()) == 1:
            os.kill(os.getpid(), signal.SIGKILL)
    return {"square": number**2}


def fails(common: dict[int, BaseException], number: int) -> dict:
    if number in common:
        raise common[number]
    return square("", number)


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


def test_what_is_done_is_not_done_again(tmp_path):
    folder = JobFolder(tmp_path, {"seed": 1})
    with pytest.raises(CampaignError, match=r"^2 of 8 jobs failed, first job2 \(.*jobs/job2.log\): no luck; 6 of 8 "
                                            r"jobs are done, kept in .*, from which the same command goes on$"):
        run_jobs(fails, {2: ValueError("no luck"), 5: ZeroDivisionError("none")}, JOBS, folder=folder)
    assert not (tmp_path / "jobs" / "job2.json").exists()
    log = (tmp_path / "jobs" / "job5.log").read_text()
    assert "Traceback" in log and "ZeroDivisionError: none" in log and "failed after" in log
    again, seen = JobFolder(tmp_path, {"seed": 1}), []
    assert [*again.results()] == [key for key in JOBS if key not in ("job2", "job5")]
    assert run_jobs(square, "", JOBS, folder=again, progress=lambda *counts: seen.append(counts)) == SQUARES
    assert seen == [(0, 2), (1, 2), (2, 2)]
    assert run_jobs(fails, dict.fromkeys(range(8), OSError()), JOBS, folder=again) == SQUARES


def test_an_interruption_says_how_to_go_on(tmp_path):
    folder = JobFolder(tmp_path, {})
    with pytest.raises(CampaignError, match=rf"^interrupted; 4 of 8 jobs are done, kept in {tmp_path}, from which the "
                                            "same command goes on$"):
        run_jobs(fails, {4: KeyboardInterrupt()}, JOBS, folder=folder)
    assert [*folder.results()] == [*JOBS][:4]


def test_folders_of_something_else_are_refused(tmp_path):
    JobFolder(tmp_path, {"seed": 1, "data": "digits"}).keep("job0", {}, "")
    with pytest.raises(ValueError, match=r"campaign.json: must be of the same campaign to go on, but differs in seed, "
                                         "data; give another folder with -o$"):
        JobFolder(tmp_path, {"seed": 2, "data": "mnist"})
    (tmp_path / "jobs" / "job0.json").write_text('{"squ')
    with pytest.raises(ValueError, match=r"job0.json: is truncated or altered; remove it, and give the command again$"):
        JobFolder(tmp_path, {"seed": 1, "data": "digits"}).results()
    (tmp_path / "other" / "jobs").mkdir(parents=True)
    (tmp_path / "other" / "jobs" / "mine.txt").touch()
    with pytest.raises(ValueError, match=r"other/jobs: must be a folder for results of jobs, but something else is "):
        JobFolder(tmp_path / "other", {})


def test_nothing_is_written_before_the_first_result(tmp_path):
    assert JobFolder(tmp_path / "new", {}).results() == {} and not (tmp_path / "new").exists()


def test_campaigns_are_told_apart_by_all_of_their_inputs():
    some = np.arange(6, dtype=np.uint8)
    digests = {digest_of_input(*parts) for parts in (
        (some,), (some.reshape(2, 3),), (some.astype(np.int64),), (some[::-1],), (some, "x"), (some, None),
        ("x", some))}
    assert len(digests) == 7 and digest_of_input(some[::2]) == digest_of_input(some[::2].copy())
