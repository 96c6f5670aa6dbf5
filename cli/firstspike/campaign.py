# SPDX-License-Identifier: MIT
"""Campaigns: independent jobs, in this process, in several, or on the workers of a dask scheduler.

A job is a function of two arguments, what all jobs have in common and its own, and gives a result of JSON values that
depends on nothing else. So it does not matter where it runs, or how often: a job whose worker is killed runs again
elsewhere, and its result, which is known by the key of the job, is kept once.
"""

import logging
import os
import platform
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from firstspike_sim.models.golden import Progress, unseen

from .job_folder import JobFolder
from .sentence import USER_ERRORS, sentence

__all__ = ["CampaignError", "Outcome", "Work", "Workers", "run_jobs", "worked"]

Work = Callable[[Any, Any], Any]
"""``work(common, argument)``: the function of a job, found by its name in a module that workers have, too."""


class CampaignError(ValueError):
    """A campaign ended before all its jobs were done; the message says how to go on."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a job came to.

    Parameters
    ----------
    result
        None if it failed.
    log : str
        When and where it ran, the tools that it called, and the traceback of a failure.
    failure : str
        A sentence; "": it did not fail.
    """

    result: Any
    log: str
    failure: str = ""


@dataclass(frozen=True, kw_only=True)
class Workers:
    """Who does the jobs.

    Parameters
    ----------
    processes : int
        Jobs at a time on this machine, each in a process of its own; 1: all in this process.
    scheduler : str or None
        Address of a dask scheduler, whose workers do them instead.
    tools : tuple of str
        Tools that the jobs need, of which all workers must have the same version.
    """

    processes: int = 1
    scheduler: str | None = None
    tools: tuple[str, ...] = ("verilator",)

    def outcomes(
        self, work: Work, common: Any, jobs: Iterable[tuple[str, Any]], *, ahead: bool = True,
    ) -> Iterator[tuple[str, Outcome]]:
        """Do the jobs, pairs of key and argument, and yield each key with its outcome as they end.

        Parameters
        ----------
        ahead : bool
            Whether jobs are taken before a worker is free for them; False: one may depend on the outcomes before it.

        Raises
        ------
        ValueError
            The scheduler does not answer, has no workers, or has some of other versions.
        ToolError
            dask.distributed is not installed.
        CampaignError
            The scheduler went away.
        """
        if self.scheduler is None and self.processes == 1:
            return ((key, worked(work, common, argument)) for key, argument in jobs)
        from .dask_workers import dask_outcomes

        return dask_outcomes(work, common, jobs, processes=self.processes, scheduler=self.scheduler, tools=self.tools,
                             ahead=ahead)


def run_jobs(
    work: Work, common: Any, jobs: Mapping[str, Any], *, folder: JobFolder | None = None,
    workers: Workers | None = None, progress: Progress = unseen,
) -> dict[str, Any]:
    """Do the jobs that are not done yet, and return the results of all, in the order of keys.

    If one fails, the others go on.

    Parameters
    ----------
    work : callable
    common, jobs
        What all jobs have in common, and the argument of each, by key.
    folder : JobFolder or None
        Where results are kept and found again; None: nowhere.
    workers : Workers or None
        None: this process.
    progress : callable
        Called as ``progress(done, total)``, counts of the jobs that were not done before.

    Raises
    ------
    CampaignError
        A job failed, or the campaign was interrupted; what is done is kept.
    """
    results = {} if folder is None else {key: one for key, one in folder.results().items() if key in jobs}
    missing = [key for key in sorted(jobs) if key not in results]
    failures: dict[str, str] = {}
    progress(0, len(missing))

    def ended(how: str) -> CampaignError:
        kept = "" if folder is None else f", kept in {folder}, from which the same command goes on"
        return CampaignError(f"{how}; {len(results)} of {len(jobs)} jobs are done{kept}")

    todo = [(key, jobs[key]) for key in missing]
    try:
        for key, outcome in (workers or Workers()).outcomes(work, common, todo) if todo else ():
            if folder is not None:
                folder.keep(key, outcome.result, outcome.log)
            if outcome.failure:
                failures[key] = outcome.failure
            else:
                results[key] = outcome.result
            progress(len(failures) + len(results) - len(jobs) + len(missing), len(missing))
    except KeyboardInterrupt:
        raise ended("interrupted") from None
    except CampaignError as end:
        raise ended(str(end)) from None
    if failures:
        first = min(failures)
        log = "" if folder is None else f" ({folder.folder / first}.log)"
        raise ended(f"{len(failures)} of {len(jobs)} jobs failed, first {first}{log}: {failures[first]}")
    return {key: results[key] for key in sorted(jobs)}


def worked(work: Work, common: Any, argument: Any) -> Outcome:
    """Do a job here; one that raises anything has failed."""
    lines = [f"{time.strftime('%Y-%m-%d %H:%M:%SZ', time.gmtime())} begun on {platform.node()}, process {os.getpid()}"]
    handler, begun = _Lines(lines), time.monotonic()
    tools = logging.getLogger("firstspike_hw.toolchain")
    level = tools.level
    tools.addHandler(handler)
    tools.setLevel(logging.INFO)
    result, failure = None, ""
    try:
        result = work(common, argument)
    except Exception as error:
        failure = sentence(error) if isinstance(error, USER_ERRORS) else f"{type(error).__name__}: {error}"
        lines.append(traceback.format_exc().rstrip())
    finally:
        tools.removeHandler(handler)
        tools.setLevel(level)
    lines.append(f"{'failed' if failure else 'done'} after {time.monotonic() - begun:.3f} s")
    return Outcome(result=result, log="\n".join(lines) + "\n", failure=failure)


class _Lines(logging.Handler):
    """Puts what this thread logs into a list: a worker may do several jobs at a time, each in a thread."""

    def __init__(self, lines: list[str]):
        super().__init__()
        self._lines, self._thread = lines, threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            self._lines.append(record.getMessage())
