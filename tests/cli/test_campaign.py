# SPDX-License-Identifier: MIT
"""Campaigns in one process: what is done is kept and not done again, and ends say how to go on."""

import numpy as np
import pytest
from firstspike.campaign import CampaignError, run_jobs
from firstspike.job_folder import JobFolder, digest_of_input

JOBS = {f"job{number}": number for number in range(8)}
SQUARES = {key: {"square": number**2} for key, number in JOBS.items()}


def square(common: None, number: int) -> dict:
    return {"square": number**2}


def fails(common: dict[int, BaseException], number: int) -> dict:
    if number in common:
        raise common[number]
    return square(None, number)


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
    assert run_jobs(square, None, JOBS, folder=again, progress=lambda *counts: seen.append(counts)) == SQUARES
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
