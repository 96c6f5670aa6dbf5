# SPDX-License-Identifier: MIT
"""The C header of an export, compiled: addresses as in hardware, events and results as in the models."""

import os
import subprocess
from pathlib import Path

import firstspike as fs
import numpy as np
import pytest
from firstspike.axi_export import write_axi
from firstspike.verb_demo import shipped
from firstspike_arch.program import Program
from firstspike_arch.result import scores_from_raw
from firstspike_arch.status import COUNTERS
from firstspike_compiler.compile import compile_network
from firstspike_hw.axi.registers import (
    AXI_COUNTERS,
    MEMORY_COUNTERS,
    MEMORY_DEAD_BIT,
    MEMORY_OPEN_BIT,
    MEMORY_REGISTERS,
    RESTART_BIT,
    Register,
    input_beat_bits,
    registers_of,
    result_beats,
)
from firstspike_hw.link.frames import wire_format

FLAGS = ("-std=c99", "-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Werror")


def printed(folder: Path, program: Program, lines: list[str], words: list[int] = ()) -> list[int]:
    """The numbers that a C program prints which includes the header; ``beats`` are those of the result words."""
    size = result_beats(wire_format(program))
    beats = [word >> 64 * beat & (1 << 64) - 1 for word in words for beat in range(size)]
    body = "\n".join(f'    printf("%lld\\n", (long long)({line}));' for line in lines)
    (folder / "main.c").write_text(
        f'#include <stdio.h>\n#include "vision_registers.h"\n'
        f"static const uint64_t beats[] = {{ {', '.join(f'{beat}ull' for beat in beats) or '0'} }};\n"
        f"int main(void)\n{{\n    (void)beats;\n{body}\n    return 0;\n}}\n")
    subprocess.run([os.environ.get("CC", "cc"), *FLAGS, "main.c", "-o", "main"], cwd=folder, check=True)
    return [int(line) for line in subprocess.run(folder / "main", stdout=subprocess.PIPE, check=True).stdout.split()]


@pytest.fixture(scope="module")
def latency() -> Program:
    return fs.compile(fs.load(shipped("zoo", "digits_latency.safetensors")), lanes=4).program


def test_addresses_and_events(latency, lif, tmp_path):
    write_axi(latency, tmp_path, name="vision")
    known = registers_of(latency)
    names = [f"VISION_{register.name}" for register in known]
    counters = [f"VISION_COUNTER_{name.upper()}" for name in (*COUNTERS, *AXI_COUNTERS)]
    rest = ["VISION_RESTART", "VISION_INPUTS", "VISION_INPUT_BYTES", "VISION_RESULT_BEATS", "VISION_CLASSES",
            "VISION_MARKER", "VISION_FINAL_MARKER"]
    layout = latency.network.input_layout
    said = printed(tmp_path, latency, [*names, *counters, *rest, "vision_event(0, 6, 3, 200)"])
    event = int(layout.events(np.array([6 * 8 + 3]), np.array([200]))[0])
    assert said == [*known, *(Register.COUNTERS + 4 * place for place in range(len(counters))), 1 << RESTART_BIT, 64,
                    input_beat_bits(wire_format(latency)) // 8, result_beats(wire_format(latency)), 10, 2, 3, event]
    assert "MEMORY" not in (tmp_path / "vision_registers.h").read_text()
    write_axi(lif, tmp_path, name="vision")
    assert printed(tmp_path, lif, ["vision_event(12)"]) == [int(lif.network.input_layout.events(np.array([12]), 1)[0])]


def test_what_belongs_to_external_weights(lif, tmp_path):
    program = compile_network(lif.network, lanes=5, external=[0]).program
    write_axi(program, tmp_path, name="vision")
    names = [*(one.name for one in MEMORY_REGISTERS), *(f"COUNTER_{name.upper()}" for name in MEMORY_COUNTERS),
             *(f"MEMORY_{name}" for name in ("OPEN", "DEAD", "BYTES", "CONTENTS_AT", "ALIGNMENT"))]
    first = Register.COUNTERS + 4 * len((*COUNTERS, *AXI_COUNTERS))
    assert printed(tmp_path, program, [f"VISION_{name}" for name in names]) == [
        *MEMORY_REGISTERS, first, first + 4, 1 << MEMORY_OPEN_BIT, 1 << MEMORY_DEAD_BIT, program.external_octets, 104,
        64]
    raw = (tmp_path / "vision_external.fsmem").read_bytes()
    assert raw[104:] == program.external_image().contents


def test_an_image_port_has_no_events(tmp_path, latency):
    program = latency.with_config(port="image")
    write_axi(program, tmp_path, name="vision")
    assert printed(tmp_path, program, ["VISION_IMAGE_BEATS", "VISION_INPUT_BYTES"]) == [8, 8]
    assert "vision_event" not in (tmp_path / "vision_registers.h").read_text()


def test_results(weighted, lif, tmp_path):
    for program in (weighted, lif):
        write_axi(program, tmp_path, name="vision")
        random, layout = np.random.default_rng(1), wire_format(program).result
        words: list[int] = []
        while len(words) < 4:
            word = int.from_bytes(random.bytes(-(-layout.bits // 8)), "little") & (1 << layout.bits) - 1
            if layout.unpack(word)[1] < program.network.steps_max:
                words.append(word)
        fields = [layout.unpack(word) for word in words]
        scores = scores_from_raw(program, np.array([field[3] for field in fields]),
                                 np.array([field[1] for field in fields]))
        lines, size, classes = [], result_beats(wire_format(program)), program.network.classes
        for at in range(0, size * len(words), size):
            lines += [f"vision_{what}(&beats[{at}])" for what in ("class", "step", "decided_by")]
            lines += [f"vision_score(&beats[{at}], {one})" for one in range(classes)]
        wanted = [[*field[:3], *some] for field, some in zip(fields, scores.tolist(), strict=True)]
        assert printed(tmp_path, program, lines, words) == [number for one in wanted for number in one]
