# SPDX-License-Identifier: MIT
"""pytest plugin: the fixture ``firstspike_verify``, and a test for each network that pytest's configuration lists.

Nothing but pytest is imported before a network is verified. docs/ci.md shows its use.
"""

import json
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from firstspike_arch.shown import shown

from .pytest_networks import Listed, listed_networks

if TYPE_CHECKING:
    from .api import Verification

PROPERTY = "firstspike"
"""Name of the property, in reports and JUnit XML, that holds a verification of a test as JSON."""

BACKENDS = ("verilator", "pysim")


@dataclass(frozen=True)
class Way:
    """How a network is simulated: the back-end, and the seed of random waits; None: full rate."""

    backend: str
    waits: int | None

    def __str__(self) -> str:
        return self.backend if self.waits is None else f"{self.backend}-waits{self.waits}"


@dataclass(frozen=True, kw_only=True)
class Task:
    """A network to be verified, as `Listed`, but as objects or files."""

    network: Any
    data: Any
    split: str = "test"
    limit: int | None = None
    options: dict[str, Any] = field(default_factory=dict)


class VerifyError(Exception):
    """A verification that cannot be made, in one sentence."""


class WeakComparison(UserWarning):
    """A layer fires too rarely or too often for the comparison to mean much."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("firstspike", "firstspike: hardware against golden and timing model")
    group.addoption("--firstspike-backend", action="append", metavar="NAME",
                    help="simulator for all tests, verilator or pysim; several times: each of them")
    group.addoption("--firstspike-waits", action="append", metavar="SEED",
                    help="seed of random waits for all tests, or none for full rate; several times: each of them")
    group.addoption("--firstspike-limit", type=int, metavar="N", help="at most so many inputs a network")
    group.addoption("--firstspike-json", type=Path, metavar="FILE", help="write all verifications to a JSON file")
    parser.addini("firstspike_networks", type="linelist",
                  help="networks to be verified, one a line: FILE data=DATA [limit=N] [name=NAME] [OPTION=VALUE …]")
    parser.addini("firstspike_backends", type="args", default=["verilator"], help="simulators: verilator, pysim")
    parser.addini("firstspike_waits", type="args", default=["none"],
                  help="seeds of random waits at both ports, or none for full rate")
    parser.addini("firstspike_failures", default="firstspike-failures",
                  help="folder, seen from the root folder, for what is needed to run a failure again")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "firstspike(backends, waits): simulators, and seeds of random waits (None: full "
                                       "rate), of a test that uses firstspike_verify")
    limit = config.getoption("firstspike_limit")
    if limit is not None and limit < 1:
        raise pytest.UsageError(f"--firstspike-limit must be at least 1, not {limit}")
    if (path := config.getoption("firstspike_json")) and not hasattr(config, "workerinput"):
        config.pluginmanager.register(JsonFile(path), "firstspike_json_file")
    if not config.getini("firstspike_networks"):
        return
    if config.inipath is None:
        raise pytest.UsageError("firstspike_networks must be in a configuration file, not on the command line")
    if config.args_source is pytest.Config.ArgsSource.TESTPATHS:
        config.args.append(str(config.inipath))  # whoever asks for all tests gets the networks, too


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> "ConfigurationFile | None":
    if file_path == parent.config.inipath and parent.config.getini("firstspike_networks"):
        return ConfigurationFile.from_parent(parent, path=file_path)
    return None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "firstspike_verify" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("firstspike")
        try:
            ways = _ways(metafunc.config, **(marker.kwargs if marker else {}))
        except (TypeError, ValueError) as error:
            raise pytest.Collector.CollectError(f"{metafunc.definition.nodeid}: {error}") from None
        metafunc.parametrize("firstspike_verify", ways, ids=str, indirect=True)


@pytest.fixture
def firstspike_verify(request: pytest.FixtureRequest) -> Callable[..., "Verification"]:
    """``firstspike_verify(network, data, split="test", limit=None, **options)``: verify, and return the outcome.

    ``network`` is a path (checkpoint, NIR or lava-dl file, build folder, program), a network, a compilation or a
    program; ``data`` an array, a path or the name of a data set. Paths are seen from pytest's root folder. Options are
    those of ``fs.compile``, and of the file. The test fails with the place where hardware and models first differ.
    """
    def verify(network: Any, data: Any, *, split: str = "test", limit: int | None = None,
               **options: Any) -> "Verification":
        __tracebackhide__ = True
        task = Task(network=network, data=data, split=split, limit=limit, options=options)
        return _verify(request.node, request.param, task)

    return verify


class ConfigurationFile(pytest.File):
    """The configuration file of pytest, with the networks that it lists as tests."""

    def collect(self) -> Iterator["NetworkItem"]:
        where = f"{self.path.name}: firstspike_networks"
        try:
            for one in listed_networks(self.config.getini("firstspike_networks")):
                where = f"{self.path.name}: {one.name}"
                for way in _ways(self.config, one.backends, one.waits):
                    yield NetworkItem.from_parent(self, name=f"{one.name}[{way}]", listed=one, way=way)
        except ValueError as error:
            raise self.CollectError(f"{where}: {error}") from None


class NetworkItem(pytest.Item):
    """The verification of one network of the configuration, in one simulator."""

    def __init__(self, *, listed: Listed, way: Way, **others: Any):
        super().__init__(**others)
        self.way, self.task = way, Task(network=listed.file, data=listed.data, split=listed.split, limit=listed.limit,
                                        options=listed.options)

    def runtest(self) -> None:
        _verify(self, self.way, self.task)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        from .failing_case import DivergenceError

        if isinstance(excinfo.value, DivergenceError | VerifyError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, None, f"verify {self.name}"


class JsonFile:
    """Collects what the tests verified, of all processes of pytest-xdist, and writes it at the end."""

    def __init__(self, path: Path):
        self.path = path.absolute()
        self.records: list[dict] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            self.records += [{"test": report.nodeid, **json.loads(str(value))}
                             for name, value in report.user_properties if name == PROPERTY]

    def pytest_sessionfinish(self) -> None:
        from firstspike_arch.program import write_atomically

        write_atomically(self.path, json.dumps({"verifications": self.records}, indent=1, ensure_ascii=False) + "\n")


def _ways(
    config: pytest.Config, backends: Sequence[str] | None = None, waits: Sequence[int | str | None] | None = None,
) -> list[Way]:
    """Return each simulator with each seed: of the command line, else of the test, else of the configuration.

    Raises
    ------
    ValueError
        There is no such simulator, or a seed is none.
    """
    names = config.getoption("firstspike_backend") or backends or config.getini("firstspike_backends")
    given = config.getoption("firstspike_waits") or waits or config.getini("firstspike_waits")
    if wrong := [name for name in names if name not in BACKENDS]:
        raise ValueError(f"the back-end must be {' or '.join(BACKENDS)}, not {shown(wrong[0])}")
    seeds: list[int | None] = []
    for one in given:
        if one not in (None, "none") and not str(one).isdecimal():
            raise ValueError(f"waits must be a seed of at least 0, or none, not {shown(one)}")
        seeds.append(None if one in (None, "none") else int(one))
    return [Way(name, seed) for name in dict.fromkeys(names) for seed in dict.fromkeys(seeds)]


def _verify(item: pytest.Item, way: Way, task: Task) -> "Verification":
    """Verify a network, and keep a record of it with the test."""
    __tracebackhide__ = True
    from .failing_case import DivergenceError
    from .sentence import USER_ERRORS, sentence

    named = isinstance(task.network, str | Path)
    record = {"network": str(task.network) if named else type(task.network).__name__, "backend": way.backend,
              "waits": way.waits, "first": "", "command": "", "error": ""}
    outcome, failure = None, None
    try:
        outcome = _check(item, way, task)
    except DivergenceError as error:
        outcome, failure = error.outcome, error
        record |= {"first": outcome.first, "command": error.command}
    except USER_ERRORS as error:
        failure = VerifyError(sentence(error))
        record["error"] = str(failure)
    if outcome is not None:
        record |= {"inferences": len(outcome.latency), "cycles": outcome.cycles,
                   "values": sum(one.compared for one in outcome.checks),
                   "different": sum(one.different for one in outcome.checks)}
    item.user_properties.append((PROPERTY, json.dumps(record)))
    if outcome is None or failure is not None:
        raise (failure or AssertionError()).with_traceback(None)
    if outcome.dead:
        layers = ", ".join(map(str, outcome.dead))
        warnings.warn(f"layer {layers} of {record['network']} fires on less than 2 % or more than 70 % of "
                      "neuron-steps: a weak comparison", WeakComparison, stacklevel=3)
    return outcome


def _check(item: pytest.Item, way: Way, task: Task) -> "Verification":
    """Make the program and load the inputs of a task, and compare.

    Raises
    ------
    DivergenceError, ValueError, OSError, ToolError
        Hardware and models differ; or they cannot be compared.
    """
    from .failing_case import check
    from .options import load_inputs
    from .verifiable import verifiable

    root, network, inputs = item.config.rootpath, task.network, task.data
    if isinstance(network, str | Path):
        network = root / network
    case = verifiable(network, **task.options)
    if isinstance(inputs, str | Path):
        is_file = Path(inputs).suffix in (".npy", ".npz")
        inputs, _ = load_inputs(str(root / inputs) if is_file else str(inputs), task.split)
    limits = [one for one in (task.limit, item.config.getoption("firstspike_limit")) if one is not None]
    return check(
        case, inputs[:min(limits)] if limits else inputs, backend=way.backend, waits=way.waits,
        build=network if case.verilog else None,
        folder=root / item.config.getini("firstspike_failures") / re.sub(r"[^\w.-]+", "_", item.nodeid),
    )
