# SPDX-License-Identifier: MIT
"""What others do with an export: Verilator's lint and yosys find nothing in it, its instantiation template fits."""

import json
import re
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import firstspike as fs
import numpy as np
import pytest
from firstspike_arch.network import IntegerNetwork, Layer, Neuron
from firstspike_hw.toolchain import ToolError, find_tool

STEPS = 6
STYLE = (
    "DECLFILENAME",  # the modules are in one file
    "UNUSEDSIGNAL",  # copies of names and discarded carries, which synthesis removes
    "PROCASSINIT",  # registers have a value at power-on and one at reset
)
MEANT = (
    # In RTLIL both sides of an assignment and of a port are of one width; only operands of cells may differ. Verilog
    # extends the narrower as RTLIL does. Of assignments and ports nothing is allowed.
    r"WIDTHEXPAND: .*: Operator (ADD|SUB|AND|OR|XOR|COND|EQ|NEQ|LT|LTE|GT|GTE|LTS|LTES|GTS|GTES) expects",
    r"WIDTHTRUNC: .*: Logical operator LOGNOT expects",  # !word is word == 0
    r"WIDTHTRUNC: .*: Operator ASSIGNW expects 1 bits on the Assign RHS, but Assign RHS's SHIFTR",  # bit of a word
    r"CMPCONST: ",  # last bound of a range of pixel values
)


def network(name: str, sizes: tuple[int, ...], *, seed: int, readout: str, **neuron) -> IntegerNetwork:
    random = np.random.default_rng(seed)
    layers = [
        Layer(name=f"dense{index}", weight_bits=4, weights=random.integers(-3, 8, (count, before)), neuron=Neuron(
            bias=random.integers(-3, 9, count) if readout != "first_spike" else np.zeros(count, int),
            theta=random.integers(8, 24, count), v_init=np.zeros(count, int), **neuron,
        )) for index, (before, count) in enumerate(pairwise(sizes))
    ]
    return IntegerNetwork(name=name, layers=tuple(layers), readout=readout, steps=STEPS, steps_max=STEPS,
                          step_weights=tuple(range(STEPS, 0, -1)))


EXPORTS = {
    "ttfs": (network("ttfs", (20, 12, 5), seed=1, readout="first_spike", single_spike=True),
             {"lanes": [4, 5], "winner": "tree"}),
    "lif": (network("lif", (20, 12, 5), seed=2, readout="spike_count", leak_num=7, leak_shift=3, v_min=-20),
            {"lanes": [5, 3], "port": "image"}),
    "rows": (network("rows", (20, 30, 10), seed=3, readout="weighted_spikes", single_spike=True),
             {"lanes": [4, 2], "winner": "scan", "register_rows": 2, "early_exit": True}),
    "outside": (network("outside", (20, 12, 5), seed=4, readout="spike_count"),
                {"lanes": [4, 5], "external": [0, 1], "beat_bits": 32}),
}


@pytest.fixture(scope="module")
def exports(tmp_path_factory) -> dict[str, Path]:
    folders = {name: tmp_path_factory.mktemp("export") / name for name in EXPORTS}
    for name, folder in folders.items():
        given, options = EXPORTS[name]
        fs.export(fs.compile(given, **options), folder)
    return folders


@pytest.fixture
def altered(exports, tmp_path) -> Path:
    return shutil.copytree(exports["ttfs"], tmp_path / "altered")


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def add(path: Path, lines: str) -> None:
    """At the end of the top module."""
    head, end, tail = path.read_text().partition("\nendmodule")
    assert "module firstspike(" in head
    path.write_text(f"{head}\n{lines}{end}{tail}")


def complaints(folder: Path, top: str, *files: str) -> list[str]:
    """What Verilator says that is not allowed."""
    said = find_tool("verilator").run(
        ["--lint-only", "-Wall", "-Wno-fatal", "--top-module", top, *files, "firstspike.v"], folder=folder)
    allowed = re.compile(rf"%Warning-(?:(?:{'|'.join(STYLE)}): |{'|'.join(MEANT)})")
    return [line for line in said.splitlines() if line.startswith("%") and not allowed.match(line)]


def lint(folder: Path, scratch: Path) -> list[str]:
    """Of a board around the template and of all below."""
    ports = json.loads((folder / "manifest.json").read_text())["ports"]
    lines = ",\n".join(f"    {port['direction']} wire [{port['width'] - 1}:0] {port['name']}" for port in ports)
    top = scratch / "board.v"
    top.write_text(f'`default_nettype none\nmodule board(\n{lines}\n);\n`include "firstspike_inst.v"\nendmodule\n'
                   "`default_nettype wire\n")
    return complaints(folder, "board", str(top))


@pytest.fixture(scope="module")
def yosys() -> Callable[[Path], str]:
    """``yosys(folder)``: its warnings; ToolError where it finds a problem, a latch, or a memory without contents."""
    tool = find_tool("yosys")
    script = ("read_verilog firstspike.v; hierarchy -check -top firstspike; proc; check -assert; "
              "select -assert-none t:$dlatch; select -assert-count {} t:$meminit_v2")
    return lambda folder, memories=2: tool.run(["-q", "-p", script.format(memories)], folder=folder)


@pytest.mark.parametrize("name", EXPORTS)
def test_verilator_lint_accepts_export_and_template(name, exports, tmp_path):
    assert lint(exports[name], tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPORTS)
def test_yosys_accepts_export_without_a_warning(name, exports, yosys):
    assert yosys(exports[name]) == ""


LITE = {
    "araddr": 12, "arprot": 3, "arready": 1, "arvalid": 1, "awaddr": 12, "awprot": 3, "awready": 1, "awvalid": 1,
    "bready": 1, "bresp": 2, "bvalid": 1, "rdata": 32, "rready": 1, "rresp": 2, "rvalid": 1, "wdata": 32, "wready": 1,
    "wstrb": 4, "wvalid": 1,
}
"""Names by which Vivado infers the interface, and widths."""


@pytest.fixture
def axi_export(name, exports, tmp_path, command) -> Path:
    """What export-axi makes of the export with the ``name`` of the test."""
    assert command("export-axi", exports[name], "-o", tmp_path / name).status == 0
    return tmp_path / name


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ttfs", "lif", "outside"])
def test_yosys_accepts_an_axi_export_without_a_warning(name, axi_export, yosys):
    assert yosys(axi_export, 3) == ""


READS = {
    "araddr": 40, "arburst": 2, "arcache": 4, "arid": 1, "arlen": 8, "arprot": 3, "arready": 1, "arsize": 3,
    "arvalid": 1, "rdata": 32, "rid": 1, "rlast": 1, "rready": 1, "rresp": 2, "rvalid": 1,
}
"""The same of the port that reads external weights."""


@pytest.mark.parametrize(("name", "beat"), [("ttfs", 8), ("lif", 64), ("outside", 8)])
def test_axi_export_is_accepted_and_has_the_names_that_vivado_infers(name, beat, axi_export):
    folder = axi_export
    assert complaints(folder, "firstspike") == []
    text = (folder / "firstspike.v").read_text()
    top = text[text.index("module firstspike(") :].partition("endmodule")[0]
    ports = {port: int(high or 0) + 1 for high, port in re.findall(r"^  (?:in|out)put (?:\[(\d+):0\] )?(\w+);", top,
                                                                   re.MULTILINE)}
    stream = {"tlast": 1, "tready": 1, "tvalid": 1}
    assert ports == {
        "aclk": 1, "aresetn": 1, **{f"s_axi_{port}": width for port, width in LITE.items()},
        **{f"s_axis_{port}": width for port, width in {**stream, "tdata": beat}.items()},
        **{f"m_axis_{port}": width for port, width in {**stream, "tdata": 64}.items()},
        **{f"m_axi_{port}": width for port, width in READS.items() if name == "outside"},
    }
    script = (folder / "package_ip.tcl").read_text()
    assert re.search(r"\{(.*)\} \{ ipx::associate", script)[1].split()[3:] == ["m_axi"] * (name == "outside")
    assert ("READ_ONLY" in script) == ("set_property range 1099511627776" in script) == (name == "outside")
    images = sorted(path.name for path in folder.glob("*.hex"))
    assert images == ["core0_weights.hex", "core1_weights.hex", "identity.hex"]
    assert all(image in script for image in images)
    told = (folder / "README.md").read_text()
    assert f"## s_axis, {beat} bits" in told and ("## m_axi, 32 bits" in told) == (name == "outside")
    assert ("0x58" in told) == ("read_errors" in told) == (name == "outside")


@pytest.mark.parametrize(("lines", "code"), [
    ("reg held; always @* if (rst) held = restart;", "LATCH"),
    ("wire [7:0] low = status_data;", "WIDTHTRUNC"),
    ("wire [39:0] high; assign high = status_data;", "WIDTHEXPAND"),
    ("wire loop = loop & restart; always @(posedge clk) if (loop) $finish;", "UNOPTFLAT"),
    ("reg taken; always @(posedge clk) taken = restart;", "BLKSEQ"),
    ("reg both; always @(posedge clk) both <= 0; always @(posedge restart) both <= 1; "
     "always @(posedge clk) if (both) $finish;", "MULTIDRIVEN"),
])
def test_verilator_lint_would_notice(lines, code, altered, tmp_path):
    add(altered / "firstspike.v", lines)
    (said,) = lint(altered, tmp_path)
    assert code in said


@pytest.mark.parametrize(("old", "new", "code"), [
    ("    .restart(restart),  // input, 1 bit\n", "", "PINMISSING"),
    (".source_payload(source_payload),", ".source_payload(source_payload[2:0]),", "WIDTHEXPAND"),
])
def test_verilator_lint_would_notice_a_template_that_does_not_fit(old, new, code, altered, tmp_path):
    replace(altered / "firstspike_inst.v", old, new)
    assert any(code in line for line in lint(altered, tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize(("lines", "message"), [
    ("reg held; always @* if (rst) held = restart;", "selection is not empty: t:$dlatch"),
    ("wire loop; assign loop = loop & restart;", "found logic loop"),
    ("assign result_valid = restart;", "multiple conflicting drivers"),
    ('reg [3:0] more [1:0]; initial $readmemh("more.hex", more);', "Can not open file `more.hex`"),
])
def test_yosys_would_notice(lines, message, altered, yosys):
    add(altered / "firstspike.v", lines)
    with pytest.raises(ToolError, match=re.escape(message)):
        yosys(altered)


@pytest.mark.slow
def test_yosys_would_warn(altered, yosys):
    add(altered / "firstspike.v", "assign undeclared = restart;")
    assert "Warning: Identifier `\\undeclared' is implicitly declared" in yosys(altered)
