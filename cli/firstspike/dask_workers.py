# SPDX-License-Identifier: MIT
"""Jobs on workers of dask.distributed: those of a scheduler, or processes of this machine.

All that a job needs goes to it through the scheduler, and its result comes back the same way: workers and client share
no files. What all jobs have in common is a task of its own, so that each worker gets it once, and one that is lost
with a worker is made again.
"""

import logging
import platform
import threading
import uuid
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from importlib.metadata import version
from itertools import islice
from typing import Any

from firstspike_arch.shown import shown
from firstspike_arch.versions import VERSION
from firstspike_hw.toolchain import ToolError, find_tool

from .campaign import CampaignError, Outcome, Work, worked

try:
    from dask import config
    from distributed import CancelledError, Client, Future, KilledWorker, LocalCluster, as_completed
except ImportError:
    raise ToolError("dask.distributed must be installed for several jobs at a time: pip install "
                    "'firstspike[campaigns]'; --processes 1 does without") from None

__all__ = ["dask_outcomes", "versions_here"]

ANSWER_SECONDS = 10.0
"""How long a scheduler may take to answer, and to have a worker."""

_DEAF = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"
"""Run by each process of this machine: a terminal sends Ctrl-C to all, and the client ends them."""

_QUIET = {
    "distributed.admin.large-graph-warning-threshold": "1 GiB",  # the program goes once, as it should
    "distributed.comm.timeouts.connect": f"{ANSWER_SECONDS} s",
}


def dask_outcomes(
    work: Work, common: Any, jobs: Iterable[tuple[str, Any]], *, processes: int, scheduler: str | None,
    tools: tuple[str, ...], ahead: bool,
) -> Iterator[tuple[str, Outcome]]:
    """Do the jobs on workers, as `Workers.outcomes` says."""
    with config.set(_QUIET), _client(processes, scheduler) as client:
        wanted = versions_here(tools)
        _check_versions(client, tools, wanted)
        run, left, running = uuid.uuid4().hex, iter(jobs), as_completed()
        shared = client.submit(_same, common, key=f"firstspike-{run}-common")
        keys = {}

        def submit() -> None:
            """Have a job for each thread of a worker, and ``ahead`` one more, so that none waits for the next."""
            threads: Any = client.nthreads()
            most = max(1, sum(threads.values())) * (2 if ahead else 1)
            for key, argument in islice(left, max(0, most - len(keys))):
                future = client.submit(_job, work, shared, argument, tools, wanted, key=f"firstspike-{run}-{key}")
                keys[future.key] = key
                running.add(future)

        try:
            submit()
            for future in running:
                yield keys.pop(future.key), _outcome(future)
                submit()
        except OSError:  # of the connection: what a job raises is in its outcome
            raise CampaignError("the scheduler went away") from None
        finally:
            with suppress(OSError):
                client.cancel([shared, *running.futures], force=True)


def versions_here(tools: tuple[str, ...]) -> dict[str, str]:
    """Versions that a worker must have in common with the client: what is run, and what carries it there and back."""
    found = {"firstspike": VERSION, "Python": ".".join(platform.python_version_tuple()[:2]),
             "distributed": version("distributed")}
    for name in tools:
        try:
            found[name] = ".".join(map(str, find_tool(name).version))
        except ToolError:
            found[name] = "missing"
    return found


@cache
def _ask(tools: tuple[str, ...]) -> dict[str, str]:
    """`versions_here` of a worker, found out once."""
    return versions_here(tools)


def _same(common: Any) -> Any:
    return common


def _job(work: Work, common: Any, argument: Any, tools: tuple[str, ...], wanted: dict[str, str]) -> Outcome:
    """Do a job on a worker, which may have come after all were asked for their versions."""
    here = _ask(tools)
    if here != wanted:
        return Outcome(result=None, log="", failure=_difference("its worker", here, wanted))
    return worked(work, common, argument)


def _outcome(future: Future) -> Outcome:
    """Fetch an outcome; one that is lost with its worker first is made again meanwhile."""
    try:
        return future.result()
    except CancelledError:
        raise CampaignError("the scheduler went away") from None
    except KilledWorker as error:
        failure = f"its workers were killed, again and again: {_first_line(error)}"
    except Exception as error:  # what a worker cannot even unpack
        failure = f"{type(error).__name__}: {_first_line(error)}"
    return Outcome(result=None, log=f"{failure}\n", failure=failure)


def _check_versions(client: Client, tools: tuple[str, ...], wanted: dict[str, str]) -> None:
    answers: Any = client.run(_ask, tools, on_error="return")
    for worker, found in sorted(answers.items()):
        if isinstance(found, BaseException):
            raise ValueError(f"the worker {worker} must have firstspike {VERSION} installed: {found}")
        if found != wanted:
            raise ValueError(_difference(f"the worker {worker}", found, wanted))


def _difference(who: str, found: dict[str, str], wanted: dict[str, str]) -> str:
    others = [f"{name} {wanted[name]}, not {found.get(name, 'missing')}" for name in wanted
              if found.get(name) != wanted[name]]
    return f"{who} must have the versions that are here: {'; '.join(others)}"


@contextmanager
def _client(processes: int, scheduler: str | None) -> Iterator[Client]:
    """A client of the scheduler, or of one on this machine with so many processes."""
    with ExitStack() as stack:
        if scheduler is None:
            cluster = stack.enter_context(LocalCluster(
                n_workers=processes, threads_per_worker=1, memory_limit=0, silence_logs=logging.CRITICAL, preload=_DEAF,
                dashboard_address=None))  # pyright: ignore[reportArgumentType]: None is for none
            yield stack.enter_context(Client(cluster))
            return
        log = logging.getLogger("distributed.client")  # tells of a lost connection, with tracebacks; so do we, without
        stack.callback(log.setLevel, log.level)
        log.setLevel(logging.CRITICAL)
        client = stack.enter_context(_connected(scheduler))
        try:
            client.wait_for_workers(1, timeout=ANSWER_SECONDS)
        except TimeoutError:
            raise ValueError(f"the scheduler at {scheduler} must have workers: start some with 'dask worker "
                             f"{scheduler}'") from None
        yield client


def _connected(scheduler: str) -> Client:
    """A client of the scheduler; in a thread of its own, as it waits for ever at a port that is no scheduler's, such as
    that of a dashboard."""
    found: list[Client | Exception] = []

    def connect() -> None:
        try:
            found.append(Client(scheduler, timeout=ANSWER_SECONDS))
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(2 * ANSWER_SECONDS)
    answer = found[0] if found else TimeoutError("what is there is none")
    if isinstance(answer, Exception):
        raise ValueError(f"--scheduler must be the address of a dask scheduler that answers within "
                         f"{ANSWER_SECONDS:.0f} s, such as tcp://HOST:8786, not {shown(scheduler)}: "
                         f"{_first_line(answer)}") from None
    return answer


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
