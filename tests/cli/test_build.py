# SPDX-License-Identifier: MIT
"""firstspike build: what it hands to the flow, and shows; a network that is too large is refused before anything."""

import dataclasses
import re
from unittest.mock import create_autospec

import firstspike as fs
import pytest
from firstspike import verb_build
from firstspike.verb_demo import shipped
from firstspike_boards import bitstream
from firstspike_boards.bitstream import block_rams
from firstspike_boards.boards import BOARDS
from firstspike_boards.icebreaker import ICEBREAKER

REPORT = {
    "clock": {"mhz": 26.25, "vco_mhz": 840.0, "pll": {"reference": 1, "feedback": 70, "output": 32}},
    "seed": 1, "fmax_mhz": 27.38, "utilisation": {"ICESTORM_LC": (3386, 5280), "ICESTORM_RAM": (27, 30)},
    "critical_path_ns": {"linked.decoder": {"logic": 2.62, "routing": 1.76}},
    "seconds": {"synthesis": 12.0, "place_and_route": 14.0, "patch_and_pack": 0.5, "prove": 0.2},
    "memories": [{"name": "core0_weights", "words": 520, "bits": 40, "blocks": 9}],
}
"""Of digits on an iCEBreaker, shortened."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A build folder: digits on 8 lanes."""
    path = tmp_path_factory.mktemp("digits") / "b"
    fs.export(fs.compile(fs.load(shipped("zoo", "digits_ettfs.safetensors")), lanes=8, early_exit=True, winner="scan",
                         register_rows=2), path)
    return path


def test_a_bitstream_is_asked_for_and_its_report_shown(folder, command, monkeypatch):
    build = create_autospec(bitstream.build_bitstream, return_value=REPORT)
    monkeypatch.setattr(bitstream, "build_bitstream", build)
    status, said, _ = command("build", folder, "--board", "icebreaker", "--seeds", "2", "--clock-mhz", "26.25")
    assert status == 0
    (board, program, output), options = build.call_args
    assert (board, program.network.name, output) == (ICEBREAKER, "digits_ettfs", folder.with_name("b-icebreaker"))
    assert {**options, "progress": None} == {"clock_hz": 26.25e6, "baud": None, "seeds": range(1, 3), "progress": None}
    for part in ("26.25 MHz, 27.38 MHz reached by seed 1", "ICESTORM_RAM", "linked.decoder",
                 "place and route 14 s; weights patched and packed in 0.5 s"):
        assert part in " ".join(said.split())


def test_a_project_is_written_where_there_are_only_the_vendors_tools(folder, command, monkeypatch, tmp_path):
    write = create_autospec(
        bitstream.write_project, return_value={"clock": REPORT["clock"], "cells": {"LUT6": 17}})
    monkeypatch.setattr(bitstream, "write_project", write)
    status, said, _ = command("build", folder, "--board", "arty-a7-35t", "-o", tmp_path / "p", "--baud", "115200")
    assert status == 0 and "LUT6" in said
    (board, _, output), options = write.call_args
    assert (board.name, output, options) == ("arty-a7-35t", tmp_path / "p", {"clock_hz": None, "baud": 115200})


def test_the_help_and_the_message_to_an_unknown_board_name_the_known_ones(folder, command):
    assert all(board in command("build", "--help").out for board in BOARDS)
    status, _, said = command("build", folder, "--board", "ice")
    assert status == 1 and said == f"firstspike: --board must be one of {', '.join(BOARDS)}, not 'ice'\n"


def test_a_network_that_is_too_large_is_refused_with_the_nearest_that_fits():
    network = fs.load(shipped("zoo", "digits_ettfs.safetensors"))
    options = {"early_exit": True, "winner": "scan", "register_rows": 2}
    program = fs.compile(network, lanes=[24, 10], **options).program
    with pytest.raises(ValueError) as caught:
        verb_build.refuse_too_large(ICEBREAKER, program)
    sentence = re.fullmatch(
        r"digits_ettfs must fit the 30 block RAMs of iCEBreaker \(iCE40 UP5K\), but takes (\d+), (\d+) of them for "
        r"rows; it would fit with --lanes (\S+) or on (\S+), which has (\d+)", str(caught.value))
    assert sentence and int(sentence[1]) == sum(block_rams(ICEBREAKER, program).values()) > 30
    fitting = fs.compile(network, lanes=[int(lanes) for lanes in sentence[3].split(",")], **options).program
    verb_build.refuse_too_large(ICEBREAKER, fitting)
    verb_build.refuse_too_large(BOARDS[sentence[4]], program)
    cores = sum(ICEBREAKER.device.blocks_of_all(core.memories) for core in fitting.cores)
    assert cores < sum(block_rams(ICEBREAKER, fitting).values()) <= 30


def test_weights_beyond_block_ram_are_shown_the_way_to_the_large_ones():
    network = fs.load(shipped("zoo", "mnist_ettfs.safetensors"))
    options = {"early_exit": True, "winner": "scan", "register_rows": 2}
    program = fs.compile(network, lanes=[8, 10], **options).program
    with pytest.raises(ValueError, match=r"but takes (\d+), (\d+) of them for core0_weights; it would fit with "
                                         r"--single-port 0 or on orangecrab, which has 56$"):
        verb_build.refuse_too_large(ICEBREAKER, program)
    verb_build.refuse_too_large(ICEBREAKER, fs.compile(network, lanes=[8, 10], single_port=[0], **options).program)
    with pytest.raises(ValueError, match=r"^mnist_ettfs must fit the 4 large RAMs of iCEBreaker \(iCE40 UP5K\), but "
                                         r"takes 5, for core0_weights; it would fit with fewer weight bits, or with "
                                         r"lanes that fill words of 16 bits$"):
        verb_build.refuse_too_large(
            ICEBREAKER, fs.compile(network, lanes=[16, 10], single_port=[0], **options).program)


def test_lanes_beyond_the_logic_are_refused():
    program = fs.compile(fs.load(shipped("zoo", "mnist_ettfs.safetensors")), lanes=128).program
    board = BOARDS["icebreaker"]
    least = sum(core.plan.elements * core.plan.membrane_bits for core in program.cores)
    small = dataclasses.replace(board, device=dataclasses.replace(board.device, luts=least - 1))
    with pytest.raises(ValueError, match=rf"^mnist_ettfs must fit the {least - 1} LUTs of iCEBreaker \(iCE40 UP5K\), "
                                         rf"but its processing elements alone take {least}; fewer lanes would fit$"):
        verb_build.refuse_too_large(small, program)
