# SPDX-License-Identifier: MIT
"""Exported cores in FuseSoC, where a design of someone else that depends on two of them passes its Verilator flow, and
in flows of Edalize."""

import os
import subprocess
import sys
from pathlib import Path

import firstspike as fs
import numpy as np
import pytest
import yaml
from edalize.flows.lint import Lint
from edalize.flows.vivado import Vivado
from firstspike_hw.toolchain import find_tool

USER = """CAPI=2:
name: ::user:0
filesets:
  rtl:
    files:
      - user.v: {file_type: verilogSource}
    depend: ["::vision:0", "::hearing:0"]
targets:
  lint:
    filesets: [rtl]
    toplevel: user
    flow: lint
    flow_options: {tool: verilator, verilator_options: [-Wall, -Wno-DECLFILENAME, -Wno-UNUSEDSIGNAL, -Wno-PROCASSINIT]}
"""


def export(folder: Path, place: str, neurons: int, **given) -> dict:
    net = fs.NetworkBuilder(7, steps=3, readout="spike_count", name="same")
    net.layer(np.arange(7 * neurons).reshape(neurons, 7) % 15 - 7, theta=6)
    net.layer(np.arange(3 * neurons).reshape(3, neurons) % 13 - 6, theta=4)
    return fs.export(fs.compile(net.build(), lanes=[3, 2]), folder / place, **given)


def user_verilog(manifests: list[dict]) -> str:
    """A module with the ports of all, each behind the name of its accelerator, but for clock and reset."""
    ports, parts = ["input wire clk", "input wire rst"], []
    for one in manifests:
        top, pins = one["top"], [port for port in one["ports"] if port["name"] not in ("clk", "rst")]
        ports += [f"{pin['direction']} wire [{pin['width'] - 1}:0] {top}_{pin['name']}" for pin in pins]
        wired = ", ".join(f".{pin['name']}({top}_{pin['name']})" for pin in pins)
        parts.append(f"  {top} {top}_instance(.clk(clk), .rst(rst), {wired});\n")
    return f"module user(\n  {{}}\n);\n{''.join(parts)}endmodule\n".format(",\n  ".join(ports))


def test_the_core_file_names_every_image_and_the_waivers(tmp_path):
    manifest = export(tmp_path, "vision", 9, name="vision")
    text = (tmp_path / "vision" / "vision.core").read_text()
    assert text.startswith("CAPI=2:\nname: ::vision:0\n") and "toplevel: vision\n" in text
    named = [line.split()[1].rstrip(":") for line in text.splitlines() if line.startswith("      - ")]
    assert named == ["vision.v", "vision.vlt", *(one["file"] for one in manifest["memories"])]
    assert {*named} <= {*manifest["files"]}
    assert export(tmp_path, "plain", 9)["top"] == "firstspike"
    assert "name: ::same:0" in (tmp_path / "plain" / "firstspike.core").read_text()


def edam(folder: Path, **options: str) -> dict:
    return yaml.safe_load((folder / "vision.eda.yml").read_text()) | {"flow_options": options}


def test_flows_of_edalize_take_every_file(tmp_path, capsys):
    manifest = export(tmp_path, "vision", 9, name="vision")
    found = edam(tmp_path / "vision")
    images = [one["file"] for one in manifest["memories"]]
    assert (found["name"], found["toplevel"]) == ("vision", "vision")
    assert {one["name"]: one["file_type"] for one in found["files"]} == {
        "vision.v": "verilogSource", "vision.vlt": "vlt", **dict.fromkeys(images, "mem")}
    Vivado(edam(tmp_path / "vision", part="xc7a100tcsg324-1"), str(tmp_path / "vision")).configure()
    script = (tmp_path / "vision" / "vision.tcl").read_text()
    assert "vision.v" in script and all(image in script for image in images) and "xc7a100tcsg324-1" in script


def with_verilator() -> dict[str, str]:
    """Environment in which others find Verilator."""
    verilator = find_tool("verilator")
    paths = [str(Path(verilator.command[0]).parent), verilator.environment.get("PATH", os.environ["PATH"])]
    return os.environ | verilator.environment | {"PATH": os.pathsep.join(paths)}


@pytest.mark.slow
def test_the_lint_flow_of_edalize_runs(tmp_path, monkeypatch):
    export(tmp_path, "vision", 9, name="vision")
    for name, value in with_verilator().items():
        monkeypatch.setenv(name, value)

    def lint() -> None:
        flow = Lint(edam(tmp_path / "vision", tool="verilator", verilator_options=[
            "-Wall", "-Wno-DECLFILENAME", "-Wno-UNUSEDSIGNAL", "-Wno-PROCASSINIT"]), str(tmp_path / "vision"))
        flow.configure()
        flow.build()

    lint()
    (tmp_path / "vision" / "vision.vlt").write_text("`verilator_config\n")
    with pytest.raises(RuntimeError, match="exited with an error"):
        lint()


def fusesoc(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([Path(sys.executable).parent / "fusesoc", "--cores-root", "cores", "run", *arguments],
                          cwd=folder, env=with_verilator() | {"XDG_CONFIG_HOME": str(folder / "config")}, text=True,
                          capture_output=True, check=False, timeout=600)


@pytest.mark.slow
def test_fusesoc_takes_one_core_and_a_design_with_two(tmp_path):
    cores = tmp_path / "cores"
    export(cores, "alone", 9)
    manifests = [export(cores, name, neurons, name=name) for name, neurons in (("vision", 9), ("hearing", 12))]
    (cores / "user").mkdir()
    (cores / "user" / "user.v").write_text(user_verilog(manifests))
    (cores / "user" / "user.core").write_text(USER)
    for folder, core in (("one", "::same:0"), ("two", "::user:0")):
        done = fusesoc(tmp_path, "--target", "lint", "--work-root", folder, core)
        assert done.returncode == 0 and "Verilator: Built from" in done.stdout, done.stdout + done.stderr
    images = [one["file"] for manifest in manifests for one in manifest["memories"]]
    assert len({*images}) == 4 and all((tmp_path / "two" / image).is_file() for image in images)
    (cores / "vision" / "vision.vlt").write_text("`verilator_config\n")
    done = fusesoc(tmp_path, "--target", "lint", "--work-root", "bare", "::user:0")
    assert done.returncode and "WIDTHEXPAND" in done.stdout + done.stderr
    (cores / "user" / "user.core").write_text(USER.replace(', "::hearing:0"', ""))
    done = fusesoc(tmp_path, "--target", "lint", "--work-root", "less", "::user:0")
    assert done.returncode and "hearing" in done.stdout + done.stderr
