# SPDX-License-Identifier: MIT
"""The HTML report: one whole file that loads nothing, whose numbers are those of the JSON and of the models."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import firstspike as fs
import numpy as np
import pytest
from firstspike import verb_verify
from firstspike.page.divergence import divergence_facts
from firstspike.page.inline_svg import COLOURS
from firstspike.verb_demo import shipped
from firstspike_boards.devices import DEVICES
from firstspike_boards.lut_model import program_luts
from firstspike_hw.accelerator import Accelerator
from firstspike_hw.verilog import verilog
from firstspike_sim.backends.pysim import PysimBackend

SECTIONS = ["network", "accuracy", "busy", "cycles", "rasters", "device", "widths", "energy", "made"]
EMPTY = {"meta", "br", "link", "img", "input", "hr"}


class Page(HTMLParser):
    """A page as a browser reads it: every tag closed, in its order; what it loads and names."""

    def __init__(self, path: Path):
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.loads: list[str] = []
        self.labels: list[str] = []
        self.svgs = 0
        self.text = path.read_text()
        self.feed(self.text)
        self.close()
        assert not self.open, self.open
        assert len(self.ids) == len(set(self.ids)), "every id is given once"
        missing = {name for name in re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', self.text) for name in name if name}
        assert missing <= set(self.ids), missing - set(self.ids)
        found = re.search(r'<script type="application/json" id="page-data">(.*?)</script>', self.text, re.DOTALL)
        assert found
        self.data = json.loads(found[1])
        self.words = re.sub(r"\s+", " ", re.sub(r"<(style|script).*?</\1>|<[^>]+>", " ", self.text, flags=re.DOTALL))

    def handle_starttag(self, tag, attrs):
        if tag not in EMPTY:
            self.open.append(tag)
        self._note(tag, dict(attrs))

    def handle_startendtag(self, tag, attrs):
        self._note(tag, dict(attrs))

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-1:]}"
        self.open.pop()

    def _note(self, tag, attrs):
        self.ids += [attrs["id"]] if "id" in attrs else []
        self.loads += [attrs[name] for name in ("src", "href", "xlink:href", "data", "action")
                       if name in attrs and not attrs[name].startswith("#")]
        if tag == "svg":
            self.svgs += 1
            assert attrs["role"] == "img" and len(attrs["aria-label"]) > 10
            self.labels.append(attrs["aria-label"])

    def section(self, name: str) -> str:
        found = re.search(rf'<section id="{name}">(.*?)</section>', self.text, re.DOTALL)
        assert found, name
        return found[1]


@pytest.fixture(scope="module")
def case() -> tuple:
    """Two programs that differ in a threshold only, and images in which it matters."""
    def program(theta: int):
        random = np.random.default_rng(0)
        network = fs.NetworkBuilder(9, steps=4, readout="first_spike", input_kind="latency", name="pages")
        network.layer(random.integers(-7, 8, (6, 9)), theta=np.array([9, 9, theta, 9, 9, 9]), single_spike=True)
        network.layer(random.integers(-7, 8, (3, 6)), theta=4, single_spike=True)
        return fs.compile(network.build(), lanes=3).program

    return program(9), program(6), np.random.default_rng(1).integers(0, 256, (12, 9)).astype(np.uint8)


def written(folder: Path, program, outcome, images, **options) -> Page:
    verb_verify.write_verification(
        program, outcome, images, np.arange(12) % 3, folder / "page.html", folder / "page.json", split="test",
        **{"verilog": "", "command": "firstspike verify b --data 'x<y'", "commands": {},
           "accuracy": {"float_test": 0.75}, **options})
    page = Page(folder / "page.html")
    assert page.data == json.loads((folder / "page.json").read_text())
    return page


def test_a_page_of_hardware_that_is_equal(case, tmp_path):
    program, _, images = case
    outcome = fs.verify(program, images, backend="pysim", run_size=5)
    page = written(tmp_path, program, outcome, images)
    data, golden = page.data, fs.infer(program, images)
    assert [name for name in ["checks", *SECTIONS] if not page.section(name)] == [] and not page.loads
    assert "@import" not in page.text and "http" not in re.sub(r'xmlns(:xlink)?="[^"]+"', "", page.text)
    assert not any(colour in page.text for colour in COLOURS.values()), "every colour is one of the style's"
    assert "x&lt;y" in page.text and "x<y" not in page.text
    compared = sum(check.compared for check in outcome.checks)
    assert f"hardware equals the models in all {compared:,} values of 12 inferences" in page.words
    assert data["divergence"] is None and 'id="divergence"' not in page.text
    right = float((golden.classes == np.arange(12) % 3).mean())
    assert data["accuracy"]["hardware"] == data["accuracy"]["integer"] == right and f"{right:.2%}"[:-1] in page.words
    assert np.array(data["accuracy"]["confusion"]).trace() == round(12 * right)
    assert np.sum(data["accuracy"]["confusion"]) == 12 and "75.00 % by training" in page.words
    assert not re.search("points (below|above) real numbers", page.words), "they were measured on other inputs"
    whole = written(tmp_path, program, outcome, images, accuracy={"float_test": 0.75, "quantised_test": right})
    assert f"{abs(75 - 100 * right):.2f} points {'below' if right < 0.75 else 'above'} real numbers" in whole.words
    latency = data["cycles"]["latency"]
    assert latency["mean"] == outcome.latency.mean() and sum(latency["counts"]) == 12
    assert data["cycles"]["interval"]["mean"] == outcome.intervals.mean() and f"{latency['mean']:.1f}" in page.words
    assert data["busy"]["cycles"] == outcome.cycles
    busy = np.sum([one.trace.busy for one in outcome.predictions], axis=0)
    assert data["busy"]["busy"] == busy.tolist() and data["busy"]["limit"] == int(busy.argmax())
    assert f"limits: busy {100 * busy.max() / outcome.cycles:.0f} % of the cycles" in page.words
    for one in data["devices"]["devices"]:
        assert abs(one["luts"]["used"] - program_luts(program, DEVICES[one["name"]].lut_inputs)) <= 2
    assert page.svgs == 9 + len(data["rasters"]) and len(set(page.labels)) == page.svgs


def test_rasters_are_the_spikes_of_the_golden_model(case, tmp_path):
    program, _, images = case
    page = written(tmp_path, program, fs.verify(program, images, backend="pysim", run_size=5), images)
    golden = fs.infer(program, images)
    assert {one["why"] for one in page.data["rasters"]} >= {"as most"} and len(page.data["rasters"]) >= 2
    for one in page.data["rasters"]:
        assert one["class"] == golden.classes[one["index"]] and one["step"] == golden.steps[one["index"]]
        for layer, spikes in zip(one["layers"], golden.spikes, strict=False):
            fired = np.nonzero(spikes[one["index"]])[1].tolist()
            assert sorted(neuron for _, neuron in layer["spikes"]) == sorted(fired)
            assert len(layer["marks"]) == 4 and layer["count"] == len(layer["spikes"])


@pytest.fixture(scope="module")
def failed(case):
    good, bad, images = case
    load = PysimBackend.load
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PysimBackend, "load", lambda self, program: load(self, bad))
        return fs.verify(good, images, backend="pysim", run_size=5)


def test_a_page_of_a_divergence(case, failed, tmp_path):
    program, bad, images = case
    page = written(tmp_path, program, failed, images, waves=None)
    found = page.data["divergence"]
    expected, actual = fs.infer(program, images).spikes[1], fs.infer(bad, images).spikes[1]
    first = int(np.nonzero((expected != actual).any((1, 2)))[0][0])
    assert (found["input"], found["layer"], found["neuron"]) == (first, "dense0", 2)
    assert f"differ in {sum(check.different for check in failed.checks)} of" in page.words and "✗ differs" in page.words
    assert failed.first in page.words and "no waveform" in page.words.lower() and page.section("divergence")
    layer = found["streams"][1]
    assert [spike[1:] for spike in layer["hardware"] + layer["expected"]] == [[2, 1], [2, 1]]
    at = int(np.argmax(expected[first, :, 2]))
    assert found["membranes"]["fired"] == [at] and found["membranes"]["expected"][at] >= 0
    assert found["membranes"]["hardware"] is None


def test_a_divergence_in_another_run_and_in_a_cycle_only(case, monkeypatch):
    program, _, images = case
    run = PysimBackend.run

    def late(self, stimulus):
        trace = run(self, stimulus)
        if stimulus.inferences == 2:
            trace.taken[1] += 1
        return trace

    monkeypatch.setattr(PysimBackend, "run", late)
    outcome = fs.verify(program, images, backend="pysim", run_size=5)
    found = divergence_facts(program, outcome, images, "", waves=None)
    assert found is not None and found["input"] == 11 and found["neuron"] is None and found["membranes"] is None
    assert not any(one["expected"] or one["hardware"] for one in found["streams"])


@pytest.mark.slow
def test_a_waveform_of_a_divergence(case, failed, tmp_path):
    program, bad, images = case
    text = verilog(Accelerator(bad), bad.memories())
    page = written(tmp_path, program, failed, images, verilog=text, waves=tmp_path / "page.fst")
    membranes = page.data["divergence"]["membranes"]
    # The planted threshold is lower by 3, so that v − theta is higher by 3.
    held = membranes["held"]
    pairs = zip(membranes["expected"], membranes["hardware"], strict=True)
    assert [seen - wanted for wanted, seen in pairs][:held] == [3] * held
    assert membranes["different"] == list(range(held)) and "differs from step 0 on" in page.words
    assert (tmp_path / "page.fst").stat().st_size and "core 0: dense0" in (tmp_path / "page.gtkw").read_text()


def test_pages_of_estimate_and_report(run, tmp_path):
    checkpoint = shipped("zoo", "digits_ettfs.safetensors")
    network = fs.load(checkpoint)
    fs.export(fs.compile(network, lanes=16), tmp_path / "b")
    printed = run("estimate", tmp_path / "b", "--data", "digits", "--limit", 40, "--html", tmp_path / "e.html",
                  "--device", "ecp5-85")
    page = Page(tmp_path / "e.html")
    assert [name for name in SECTIONS if not page.section(name)] == [] and 'id="checks"' not in page.text
    assert page.data["checks"] is None and page.data["accuracy"]["hardware"] is None
    assert f"accuracy of the integer network: {page.data['accuracy']['integer']:.2%}" in printed
    assert f"mean {page.data['cycles']['latency']['mean']:.1f}" in printed
    assert page.data["accuracy"]["recorded"] == {"float": network.accuracy["float_test"],
                                                 "integer": network.accuracy["quantised_test"]}
    assert page.data["devices"]["shown"] == "ecp5-85" and f"firstspike estimate {tmp_path / 'b'}" in page.words
    run("report", checkpoint, "--data", "digits", "--limit", 30, "-o", tmp_path, "--html", tmp_path / "r.html")
    page = Page(tmp_path / "r.html")
    record = json.loads((tmp_path / "digits_ettfs.json").read_text())
    assert page.data["activity"] == {name: record[name] for name in page.data["activity"]}
    assert f"{record['energy_nj']['INT8']['spiking']:.3g} nJ" in page.words


def test_options_of_a_page_that_do_not_fit(command, tmp_path):
    fs.export(fs.compile(fs.load(shipped("zoo", "digits_ettfs.safetensors")), lanes=16), tmp_path / "b")
    for options, sentence in (
        (["--html-data", tmp_path / "x.json"], "--html must be given with --html-data"),
        (["--html", tmp_path / "none" / "x.html"], "--html must be a file in a folder that exists"),
        (["--html", tmp_path], "--html must be a file in a folder that exists"),
        (["--html", tmp_path / "x.html", "--device", "ecp6"], "--device must be one of ecp5-25, "),
    ):
        ended = command("estimate", tmp_path / "b", "--data", "digits", "--limit", 2, *options)
        assert ended.status == 1 and sentence in ended.err, options
    assert not (tmp_path / "x.html").exists()
