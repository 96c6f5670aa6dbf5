# SPDX-License-Identifier: MIT
"""Look-up tables by the model, against what yosys made: recorded for many designs, and measured anew for two."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from firstspike_arch.network_builder import NetworkBuilder
from firstspike_boards.lut_model import core_luts, entry_luts, program_luts, program_units, readout_luts
from firstspike_compiler.compile import compile_network

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def benchmark():
    """The benchmark that measures and fits."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        spec = importlib.util.spec_from_file_location("lut_model_benchmark", BENCHMARKS / "lut_model.py")
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.mark.parametrize("inputs", [4, 6])
def test_the_model_is_within_a_tenth_of_what_was_measured(benchmark, inputs):
    measured = benchmark.stored()
    off = benchmark.errors(measured, [*benchmark.MAPPINGS, *benchmark.FRESH], inputs)
    assert len(off) >= 14
    assert all(abs(error) <= benchmark.TOLERANCE for error in off.values()), off


def test_multipliers_are_those_that_yosys_made(benchmark):
    """But for one here and there that multiplies an address by a constant."""
    measured, counts = benchmark.stored(), set()
    for name, letter, mapping in benchmark.known(measured, benchmark.MAPPINGS):
        program = benchmark.program_of(name, mapping)
        count = sum(core.plan.elements * core.multiplies for core in program.cores)
        for luts in measured[f"{name}/{letter}"]["luts"].values():
            assert 0 <= luts.get("multipliers", 0) - count <= 2 * len(program.cores), (name, letter)
        counts.add(count)
    assert len(counts) > 3


def test_the_whole_is_the_sum_of_its_parts(benchmark):
    name, _, mapping = next(one for one in benchmark.MAPPINGS if one[:2] == ("digits_diet", "a"))
    program = benchmark.program_of(name, mapping)
    for inputs in (4, 6):
        parts = entry_luts(program, inputs) + sum(core_luts(core, inputs) for core in program.cores)
        parts += readout_luts(program.network, program.config, program.cores[-1], inputs)
        assert program_luts(program, inputs) == pytest.approx(parts) and parts > 500
    assert {unit.name for unit in program_units(program, 4)} == {
        "encoder", "port", "readout", "core0", "queue0", "extractor0", "core1", "merger1", "queue1", "extractor1",
        "core2"}


@pytest.mark.slow
@pytest.mark.parametrize("place", [0, 1])
def test_the_model_is_within_a_tenth_of_yosys_today(benchmark, place):
    """The designs that the fit has not seen, synthesised anew."""
    name, letter, mapping = benchmark.FRESH[place]
    program = benchmark.program_of(name, mapping)
    text = benchmark.verilog(benchmark.Accelerator(program), ())
    for inputs, family in benchmark.FAMILIES.items():
        found = sum(benchmark.grouped(benchmark.luts_by_unit(text, family, inputs)).values())
        assert program_luts(program, inputs) == pytest.approx(found, rel=benchmark.TOLERANCE), (name, letter)


def test_delay_lines_count():
    """By yosys 495 and 505 LUT4, 292 and 370 LUT6, of 128 and of 700 addresses with delays up to 30 steps."""
    net = NetworkBuilder(700, steps=40, readout="spike_count")
    net.layer(np.eye(128, 700, dtype=int), theta=1, delays=np.arange(700) % 31)
    net.layer(np.eye(10, 128, dtype=int), theta=1, delays=np.arange(128) % 31)
    program = compile_network(net.build(), lanes=2).program
    for inputs, sizes in ((4, (505, 495)), (6, (370, 292))):
        units = [unit for unit in program_units(program, inputs) if unit.kind == "delays"]
        undelayed = [core_luts(replace(core, inputs=tuple(replace(one, delaying=None) for one in core.inputs)), inputs)
                     for core in program.cores]
        for core, without, size in zip(program.cores, undelayed, sizes, strict=True):
            assert abs(core_luts(core, inputs) - without - size) <= 0.15 * size
        assert len(units) == 2
