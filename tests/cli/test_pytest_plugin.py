# SPDX-License-Identifier: MIT
"""The pytest plugin in a project that is not ours: what passes, what fails and how it says so."""

import json
import shlex
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import firstspike as fs
import numpy as np
import pytest
from firstspike import api
from firstspike.failing_case import DivergenceError, check
from firstspike.pytest_networks import Listed, listed_networks
from firstspike.verifiable import open_verifiable, verifiable
from firstspike_arch.program import Program
from firstspike_hw.toolchain import ToolError
from firstspike_sim.backends import verilator

pytest_plugins = "pytester"

LISTED = 'firstspike_networks = ["nets/small.safetensors data=inputs.npz lanes=3"]'
PYSIM = 'firstspike_backends = ["pysim"]'


@pytest.fixture
def project(pytester):
    """``project(*configuration, tests=TEXT)``: a folder with a small network, inputs and tests, which is current."""
    random = np.random.default_rng(0)
    network = fs.NetworkBuilder(9, steps=4, readout="first_spike", input_kind="latency", name="small")
    network.layer(random.integers(-7, 8, (6, 9)), theta=9, single_spike=True)
    network.layer(random.integers(-7, 8, (3, 6)), theta=4, single_spike=True)
    fs.save(network.build(), "nets/small.safetensors")
    np.savez("inputs.npz", inputs=random.integers(0, 256, (7, 9)).astype(np.uint8), labels=np.arange(7) % 3)

    def make(*lines: str, tests: str = "") -> None:
        pytester.makepyprojecttoml("[tool.pytest.ini_options]\n" + "\n".join(lines))
        Path("tests").mkdir(exist_ok=True)
        Path("tests/test_mine.py").write_text(tests)

    return make


def records(file: str = "out.json") -> list[dict]:
    return json.loads(Path(file).read_text())["verifications"]


def test_listed_networks_are_tests_in_every_simulator_and_with_every_seed(project, said):
    project(LISTED.replace("lanes", "limit=3 lanes"), PYSIM, 'firstspike_waits = ["none", "5"]')
    done = said("-v", "--junitxml", "junit.xml", "--firstspike-json", "out.json")
    done.assert_outcomes(passed=2)
    done.stdout.fnmatch_lines(["pyproject.toml::nets/small.safetensors[[]pysim] PASSED*",
                               "pyproject.toml::nets/small.safetensors[[]pysim-waits5] PASSED*"])
    full, waiting = records()
    assert full["test"] == "pyproject.toml::nets/small.safetensors[pysim]"
    assert (full["waits"], waiting["waits"]) == (None, 5) and full["cycles"] < waiting["cycles"]
    assert {one["inferences"] for one in (full, waiting)} == {3} and full["values"] > 3 * 6 and full["different"] == 0
    properties = ElementTree.parse("junit.xml").findall(".//property[@name='firstspike']")
    assert [json.loads(one.get("value", "")) for one in properties] == [
        {name: value for name, value in one.items() if name != "test"} for one in (full, waiting)]


def test_the_fixture_takes_objects_and_files(project, said):
    project(PYSIM, tests="""
import firstspike as fs
import numpy as np

def test_both(firstspike_verify):
    images = np.load("inputs.npz")["inputs"]
    outcome = firstspike_verify(fs.load("nets/small.safetensors"), images, limit=2, lanes=2)
    assert outcome.equal and len(outcome.classes) == 2
    assert firstspike_verify("nets/small.safetensors", data="inputs.npz", limit=2, lanes=2).cycles == outcome.cycles
""")
    said("--firstspike-json", "out.json").assert_outcomes(passed=1)
    assert [(one["network"], one["inferences"]) for one in records()] == [
        ("FloatNetwork", 2), ("nets/small.safetensors", 2)]


def test_what_can_be_verified_is_the_same_program_in_any_form(project):
    network = fs.load("nets/small.safetensors")
    compilation = fs.compile(network, lanes=2)
    compilation.program.save("small.fsp")
    found = [verifiable(one, lanes=2) for one in (network, "nets/small.safetensors")]
    found += [verifiable(one) for one in (compilation, compilation.program, "small.fsp")]
    assert {one.program.digest() for one in found} == {compilation.program.digest()}
    assert open_verifiable(Path("small.fsp")).program.digest() == compilation.program.digest()
    with pytest.raises(ValueError, match=r"^small.fsp: lanes must not be given for a program, which is compiled "):
        verifiable("small.fsp", lanes=2)
    with pytest.raises(ValueError, match=r"^network must be a path, a network, .*, not of the type int$"):
        verifiable(5)
    with pytest.raises(ValueError, match=r"^x.nir: must be compiled first, with the options of 'firstspike compile' "):
        open_verifiable(Path("x.nir"))


def collected(done) -> set[str]:
    return {line for line in done.outlines if "::" in line}


def test_the_command_line_rules_over_a_test_and_a_test_over_the_configuration(project, said):
    project(LISTED.replace("lanes=3", "waits=[1]"), tests="""
import pytest

@pytest.mark.firstspike(backends=["pysim"], waits=[None, 2])
def test_marked(firstspike_verify): ...
def test_plain(firstspike_verify): ...
""")
    network, mine = "pyproject.toml::nets/small.safetensors", "tests/test_mine.py::test_"
    assert collected(said("--co", "-q")) == {
        f"{network}[verilator-waits1]", f"{mine}marked[pysim]", f"{mine}marked[pysim-waits2]",
        f"{mine}plain[verilator]"}
    assert collected(said("--co", "-q", "--firstspike-backend", "pysim", "--firstspike-waits", "7")) == {
        f"{network}[pysim-waits7]", f"{mine}marked[pysim-waits7]", f"{mine}plain[pysim-waits7]"}


def test_networks_are_collected_for_whoever_asks_for_all_tests_or_for_them(project, said):
    project(LISTED, 'testpaths = ["tests"]', tests="def test_other(): ...")
    network, other = "pyproject.toml::nets/small.safetensors[verilator]", "tests/test_mine.py::test_other"
    for arguments in ((), (".",)):
        assert collected(said("--co", "-q", *arguments)) == {network, other}
    for argument in ("tests", other):
        assert collected(said("--co", "-q", argument)) == {other}
    for argument in ("pyproject.toml", network):
        assert collected(said("--co", "-q", argument)) == {network}
    project('testpaths = ["tests"]', tests="def test_other(): ...")
    assert collected(said("--co", "-q")) == {other}


@pytest.fixture
def wrong_weights(monkeypatch):
    """Hardware whose first layer has other weights than the network."""
    images = Program.images

    def wrong(program: Program) -> dict[str, list[int]]:
        first, *rest = program.network.layers
        network = replace(program.network, layers=(replace(first, weights=-first.weights), *rest))
        return images(Program(network=network, config=program.config))

    monkeypatch.setattr(Program, "images", wrong)


def test_a_failure_says_where_and_how_to_see_it_again(project, said, command, wrong_weights):
    project(PYSIM, LISTED, 'firstspike_waits = ["4"]')
    done = said("--firstspike-json", "out.json")
    done.assert_outcomes(failed=1)
    (record,) = records()
    assert record["different"] > 0
    assert record["first"].startswith("run 0 (from input 0): spikes of layer 0 into layer 1, inference ")
    done.stdout.fnmatch_lines([f"*hardware and models of small differ first at: {record['first']}",
                               "*again, with waves: firstspike verify *"])
    program, verb, file, *rest = shlex.split(record["command"])
    assert (program, verb, *rest[::2]) == ("firstspike", "verify", "--data", "--waits", "--waves")
    again = command(verb, file, *rest[:4], "--backend", "pysim")
    assert again.status == 1 and f"differ first at: {record['first']}" in again.err


def test_a_failing_test_shows_its_own_line_and_names_its_build(project, said, wrong_weights, monkeypatch):
    program = fs.compile(fs.load("nets/small.safetensors"), lanes=3).program
    monkeypatch.setattr("firstspike.verifiable.read_build", lambda folder: (program, "its Verilog"))
    Path("build").mkdir()
    assert verifiable("build").verilog == "its Verilog", "that of the folder, not one that would be exported anew"
    project(PYSIM, tests="def test_it(firstspike_verify):\n    firstspike_verify('build', 'inputs.npz', limit=2)\n")
    done = said("--firstspike-json", "out.json")
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines([">       firstspike_verify('build', 'inputs.npz', limit=2)", "tests/test_mine.py:2: D*"])
    assert "pytest_plugin.py" not in done.stdout.str()
    assert records()[0]["command"].startswith("firstspike verify build --data firstspike-failures/tests_test_mine")


def test_a_failure_is_kept_as_the_run_that_differs(project, monkeypatch, wrong_weights):
    """The second of several: its inputs, and the seed of its waits."""
    case, inputs = verifiable("nets/small.safetensors"), np.load("inputs.npz")["inputs"]
    equal = np.zeros((2, 9), dtype=np.uint8)  # without spikes the weights do not matter
    verify = api.verify
    monkeypatch.setattr(api, "verify", lambda *args, **options: verify(*args, run_size=2, **options))
    with pytest.raises(DivergenceError) as found:
        check(case, np.concatenate([equal, inputs[:2]]), folder=Path("kept"), backend="pysim", waits=4)
    assert found.value.outcome.run == (2, 4) and np.array_equal(np.load("kept/inputs.npy"), inputs[:2])
    assert found.value.command == (
        "firstspike verify kept/program.fsp --data kept/inputs.npy --waits 6 --waves kept/wave.fst")
    assert Program.load("kept/program.fsp").digest() == case.program.digest()


def test_a_missing_simulator_fails_in_one_sentence(project, said, monkeypatch):
    def missing(name):
        raise ToolError(f"{name} must be installed")

    monkeypatch.setattr(verilator, "find_tool", missing)
    project(LISTED, tests="def test_it(firstspike_verify): firstspike_verify('nets/small.safetensors', 'inputs.npz')")
    done = said("--firstspike-json", "out.json")
    done.assert_outcomes(failed=2)
    assert [one["error"] for one in records()] == ["verilator must be installed"] * 2
    assert done.stdout.lines.count("verilator must be installed") == 1  # of the network; the other is behind "E"


@pytest.mark.parametrize(("line", "sentence"), [
    ("nets/none.safetensors data=inputs.npz", "nets/none.safetensors: must be a network's file, a program (.fsp) or a "
     "build folder, but there is nothing of that name"),
    ("nets/small.safetensors data=inputs.npz steps=4", "steps must be an option of the compiler or of the file: "),
    ("nets/small.safetensors data=none.npy", "none.npy: No such file or directory"),
    ("nets/small.safetensors data=nodata", "nodata"),
    ("inputs.npz data=inputs.npz", "must be a firstspike network, not an archive of NumPy's arrays (.npz)"),
    ("nets/small.safetensors data=inputs.npz lanes=0", "lanes must be"),
])
def test_what_cannot_be_verified_fails_in_one_sentence(line, sentence, project, said):
    project(f"firstspike_networks = ['{line}']", PYSIM)
    done = said("--firstspike-json", "out.json")
    done.assert_outcomes(failed=1)
    (record,) = records()
    assert sentence in record["error"] and "\n" not in record["error"]
    assert "Traceback" not in done.stdout.str() and record["error"] in done.stdout.str()


@pytest.mark.parametrize(("lines", "sentence"), [
    (["x.safetensors"], "'x.safetensors' must have data=DATA: a data set, a .npy or a .npz file"),
    (["x data=d limit=0"], "'x data=d limit=0' must have a limit of at least 1, not 0"),
    (["x data=d limit=many"], "'x data=d limit=many' must have a number as limit, not 'many'"),
    (["x data=d name=5"], "'x data=d name=5' must have a text as name, not 5"),
    (["x data=d backends=1"], "'x data=d backends=1' must have a text as backends, not 1"),
    (["x data=d lanes"], "'x data=d lanes' must have OPTION=VALUE behind the file, not 'lanes'"),
    (["x data=d data=e"], "'x data=d data=e' must have data once"),
    (["x data=d", "x data=e"], "x must be listed once, or with different names: give name=NAME"),
    (['x data="d'], "'x data=\"d' must be FILE data=DATA [OPTION=VALUE …]: No closing quotation"),
])
def test_a_wrong_line_of_the_list_is_told(lines, sentence):
    with pytest.raises(ValueError) as error:
        listed_networks(lines)
    assert str(error.value) == sentence


def test_lines_have_options_of_their_own_and_of_the_compiler():
    one, other = listed_networks(["# a comment", "", "x data=d lanes=[8,4] early_exit=true waits=3 limit=5 reset=zero",
                                  "x data=e name=again split=train backends=pysim,verilator waits=none,2"])
    assert one == Listed(name="x", file="x", data="d", limit=5, waits=["3"],
                         options={"lanes": [8, 4], "early_exit": True, "reset": "zero"})
    assert other == Listed(name="again", file="x", data="e", split="train", backends=["pysim", "verilator"],
                           waits=["none", "2"], options={})


@pytest.mark.parametrize(("lines", "sentence"), [
    (["x"], "pyproject.toml: firstspike_networks: 'x' must have data=DATA: a data set, a .npy or a .npz file"),
    (["x data=d backends=icarus"], "pyproject.toml: x: the back-end must be verilator or pysim, not 'icarus'"),
])
def test_a_wrong_list_is_an_error_of_collection(lines, sentence, project, said):
    project(f"firstspike_networks = {json.dumps(lines)}")
    done = said()
    done.assert_outcomes(errors=1)
    assert sentence in done.stdout.str() and "Traceback" not in done.stdout.str()


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["--firstspike-limit", "0"], "--firstspike-limit must be at least 1, not 0"),
    (["--firstspike-limit", "x"], "invalid int value: 'x'"),
    (["--firstspike-backend", "icarus"], "the back-end must be verilator or pysim, not 'icarus'"),
    (["--firstspike-waits", "soon"], "waits must be a seed of at least 0, or none, not 'soon'"),
])
def test_a_wrong_option_is_told(arguments, sentence, project, said):
    project(LISTED)
    done = said(*arguments)
    assert done.ret not in (0, 1) and sentence in done.stdout.str() + done.stderr.str()


def test_a_weak_comparison_is_warned_of(project, said):
    project('firstspike_networks = ["nets/small.safetensors data=inputs.npy"]', PYSIM)
    np.save("inputs.npy", np.zeros((2, 9), dtype=np.uint8))
    done = said()
    done.assert_outcomes(passed=1, warnings=1)
    done.stdout.fnmatch_lines(["*layer 0, 1 of nets/small.safetensors fires on less than 2 % or*"])


@pytest.mark.slow
def test_processes_of_xdist_write_one_file(project, pytester):
    project(LISTED, PYSIM, 'firstspike_waits = ["1", "2"]', 'testpaths = ["tests"]', tests="")
    done = pytester.runpytest_subprocess("-p", "no:firstspike", "-p", "firstspike.pytest_plugin", "-n", "2",
                                         "--firstspike-json", "out.json")
    done.assert_outcomes(passed=2)
    assert {one["waits"] for one in records()} == {1, 2}
