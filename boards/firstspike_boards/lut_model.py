# SPDX-License-Identifier: MIT
"""Look-up tables of an accelerator: a linear model of what yosys makes of each unit, without running it.

The look-up tables of a unit are a sum of *features*, numbers that follow from its description (such as adder bits of
all lanes), each times a coefficient. `benchmarks/lut_model.py` measures designs and fits the coefficients, for families
with LUTs of four inputs (by ECP5) and of six (by AMD's 7 series). A LUT RAM or a carry chain counts as the LUTs that it
occupies.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from firstspike_arch.array import ArrayConfig
from firstspike_arch.core_spec import CoreSpec
from firstspike_arch.core_specs import result_score_bits
from firstspike_arch.fixed import bits_for_unsigned, ceil_div
from firstspike_arch.memory import LUT_RAM_DEPTH, MemoryShape
from firstspike_arch.microcode import Microcode
from firstspike_arch.network import IntegerNetwork
from firstspike_arch.program import Program

from .devices import DEVICES
from .lut_coefficients import COEFFICIENTS

__all__ = ["Unit", "core_luts", "core_units", "entry_luts", "program_luts", "program_units", "readout_luts"]

ALONE = {4: {"marks": {"marks": 1.7}, "rows": {"lut_ram": 1, "lut_ram_mux": 0.9},
             "delays": {"lut_ram": 1, "lanes": 9.5, "values": 9, "address": 25},
             "fetcher": {"lut_ram": 1, "buffers": 10, "slice": 9, "word": 1, "place": 12, "control": 230},
            "parity": {"weights": 0.45, "rows": 0.9, "control": 25}},
         6: {"marks": {"marks": 1.4}, "rows": {"lut_ram": 1, "lut_ram_mux": 1},
             "delays": {"lut_ram": 1, "lanes": 5.5, "values": 3.3, "address": 17},
             "fetcher": {"lut_ram": 1, "buffers": 6, "slice": 6, "word": 1, "place": 8, "control": 150},
            "parity": {"weights": 0.3, "rows": 0.6, "control": 20}}}
"""Coefficients that were measured of units alone, as no network of the zoo has them by default: for each row of a core
that skips rows, times one more than the rows that it can mark at once, with 36 to 256 rows; of LUT RAM of 96 to 256
rows; and of delay lines for 16 to 3,136 addresses, with values of 0 to 8 bits. Those of weight fetchers are estimated,
not measured; so are those of parity, for each bit of a word of weights and of a row in a memory, but three designs of
`benchmarks/protection.py` are near them."""

_SHAPES = DEVICES["ecp5-85"].shapes  # those of AMD's 7 series are the same

Features = dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Unit:
    """A unit of an accelerator: its name in the netlist, its kind, and the features of its kind."""

    name: str
    kind: str
    features: Features


def core_luts(core: CoreSpec, inputs: int) -> float:
    """Estimate the LUTs (of 4 or 6 inputs) of a core, with what is in front of it and its spike queue and extractor."""
    return sum(_luts(unit, inputs) for unit in core_units(core, inputs))


def readout_luts(network: IntegerNetwork, config: ArrayConfig, output: CoreSpec, inputs: int) -> float:
    """Estimate the LUTs of the read-out behind the core of the output layer."""
    return _luts(_readout_unit(network, config, output), inputs)


def entry_luts(program: Program, inputs: int) -> float:
    """Estimate the LUTs of what no mapping changes: encoder or guard, program port and counters."""
    return sum(_luts(unit, inputs) for unit in _entry_units(program))


def program_luts(program: Program, inputs: int) -> float:
    """Estimate the LUTs of a whole accelerator."""
    return sum(_luts(unit, inputs) for unit in program_units(program, inputs))


def program_units(program: Program, inputs: int) -> Iterator[Unit]:
    """Describe all units of an accelerator."""
    yield from _entry_units(program)
    yield _readout_unit(program.network, program.config, program.cores[-1])
    for core in program.cores:
        yield from core_units(core, inputs)


def _luts(unit: Unit, inputs: int) -> float:
    coefficients = (COEFFICIENTS[inputs] | ALONE[inputs])[unit.kind]
    return sum(coefficients[name] * value for name, value in unit.features.items())


def core_units(core: CoreSpec, inputs: int) -> Iterator[Unit]:
    """Describe a core and what belongs to it."""
    yield Unit(name=f"core{core.index}", kind="core", features=_core(core, inputs))
    if core.plan.options.skips:
        yield Unit(name=f"core{core.index}", kind="marks", features={
            "marks": core.plan.rows * (1 + core.tiles_reached)})
    if deep := [memory for memory in core.memories if memory.lut_ram and memory.depth > LUT_RAM_DEPTH]:
        yield Unit(name=f"core{core.index}", kind="rows", features=_deep_lut_ram(deep, inputs))
    if core.parity:
        rows = [memory for memory in core.memories if memory.name.startswith("core") and not memory.loadable]
        yield Unit(name=f"core{core.index}", kind="parity", features={
            "weights": core.memory.stored_bits * core.memory.read_ports,
            "rows": sum(memory.used_bits for memory in rows), "control": 1})
    for place, one in enumerate(core.inputs):
        if one.delaying is not None:
            line, layout = one.delaying, one.delaying.layout
            yield Unit(name=f"delays{core.index}_{place}", kind="delays", features={
                "lut_ram": _lut_ram(line.memories(""), inputs), "lanes": line.lanes,
                "values": line.lanes * layout.value_bits, "address": layout.address_bits})
        if one.fetching is not None:
            fetching, place_bits = one.fetching, (one.fetching.buffers - 1).bit_length()
            yield Unit(name=f"fetcher{core.index}", kind="fetcher", features={
                "lut_ram": _lut_ram(fetching.memories(""), inputs), "buffers": fetching.buffers,
                "slice": fetching.slice_bits, "word": core.memory.used_bits / 32, "place": place_bits, "control": 1})
        if one.merging is not None:
            name = f"merger{core.index}" if len(core.inputs) == 1 else f"merger{core.index}_{place}"
            memories = list(one.merging.memories(""))
            yield Unit(name=name, kind="merger", features={
                "lut_ram": _lut_ram(memories, inputs), "sums": one.merging.sum_bits,
                "places": one.merging.place_layout.address_bits, "address": one.layout.bits, "control": 1})
    if core.sends:
        plan, layout = core.plan, core.out_layout
        queue = [memory for memory in core.memories if memory.name.startswith("queue")]
        yield Unit(name=f"queue{core.index}", kind="queue", features={
            "lut_ram": _lut_ram(queue, inputs), "lut_ram_mux": _lut_ram_mux(queue, inputs),
            "word": plan.word_lanes * (1 + layout.value_bits), "queued": float(core.queue_depth > 1),
            "address": layout.address_bits * (len(layout.shape) > 1), "control": 1})
        yield Unit(name=f"extractor{core.index}", kind="extractor", features={
            "lanes": plan.word_lanes, "two": plan.word_lanes * (core.out_slots - 1),
            "values": plan.word_lanes * layout.value_bits,
            "banks": plan.bank_count * (plan.bank_count > 1), "address": layout.address_bits, "control": 1})


def _lut_ram(memories: Iterable[MemoryShape], inputs: int) -> float:
    """LUTs of the memories that are shallow enough: cells of 16 × 4, or of 32 × 6 or 64 × 3."""
    total = 0
    for memory in memories:
        if memory.depth <= LUT_RAM_DEPTH and not memory.loadable:
            if inputs == 4:
                total += ceil_div(memory.used_bits, 4) * ceil_div(memory.depth, 16) * 4
            else:
                total += ceil_div(memory.used_bits, 6 if memory.depth <= 32 else 3) * 4
    return float(total)


def _deep_lut_ram(memories: Iterable[MemoryShape], inputs: int) -> Features:
    """LUT RAM of memories that are not shallow: the LUTs of its cells, each of four, and those that choose among them.
    """
    cells = ((16, 4),) if inputs == 4 else ((32, 6), (64, 3))  # depth and width
    found = np.zeros(2)
    for memory in memories:
        deep, width = min(cells, key=lambda cell: ceil_div(memory.depth, cell[0]) / cell[1])
        count = ceil_div(memory.depth, deep)
        # A LUT of six inputs chooses among four; beyond, yosys takes more LUTs than it could.
        chosen = (count - 1) * (1 + (count > 8)) if inputs == 4 else 1 if count <= 4 else ceil_div(count, 2)
        found += 4 * count * ceil_div(memory.used_bits, width), memory.used_bits * chosen
    return {"lut_ram": float(found[0]), "lut_ram_mux": float(found[1])}


def _blocks_deep(memory: MemoryShape) -> int:
    """Number of block RAMs that one bit of a memory is chosen among: in the shape that takes fewest, as yosys chooses.
    """
    whole, rest = divmod(memory.stored_bits, memory.chunk_bits)
    shapes = [(depth, width) for depth, width in _SHAPES if memory.read_ports == 1 or width <= 18]
    return min((ceil_div(memory.depth, depth) * (whole * ceil_div(memory.chunk_bits, width) + ceil_div(rest, width)),
                ceil_div(memory.depth, depth)) for depth, width in shapes)[1]


def _lut_ram_mux(memories: Iterable[MemoryShape], inputs: int) -> float:
    """Bits of these memories that are chosen among cells, times the cells beyond the first."""
    deep = 16 if inputs == 4 else 64
    return float(sum(memory.used_bits * (ceil_div(memory.depth, deep) - 1) for memory in memories
                     if memory.depth <= LUT_RAM_DEPTH and not memory.loadable))


def _core(core: CoreSpec, inputs: int) -> Features:
    plan, code, layer = core.plan, core.microcode, core.layer
    lanes, banks, passes = plan.elements, plan.bank_count, code.passes
    own = [memory for memory in core.memories if memory.name.startswith("core")]
    bits = lanes * plan.membrane_bits  # of the adders of all lanes
    in_memory = not plan.in_registers
    operands = {op.operand for op in passes} - {"weight", "zero"}
    based = sum(op.base is not None for op in passes if not (plan.in_one_row and op.act == "init"))
    row_bits, word_bits = bits_for_unsigned(plan.walk_rows), bits_for_unsigned(core.memory.depth)
    # A value of 16 takes as many addends as 15.
    value_bits = min(4, max(layout.value_bits for layout in core.layouts)) * (not core.multiplies)
    axes = [axis for one in core.inputs for axis in (one.walk.x, one.walk.y) if axis is not None]
    coordinates = sum(len(axis.count) for axis in axes) / 16
    return {
        "adder": bits,
        "operand": bits * (not code.pure_weights),
        "leak": bits * ("leak" in operands),
        "extra": bits * len(operands & {"shadow", "current", "sum", "fall", "trace", "rise", "product"}),
        "halve": bits * any(op.halve for op in passes),
        "save": bits * any(op.act == "save" for op in passes),
        "bases": bits * based,
        "one_row": bits * plan.in_one_row,
        "current": lanes * plan.current_bits * (code.has_current + code.has_trace + code.has_rise),
        "pool": bits * code.pools,
        # A rise is compared as one more threshold is.
        "levels": bits * (max(1, layer.neuron.levels) - 1 + code.has_rise),
        "by_level": bits * any(op.by_level for op in passes),
        # Selects of constants are shared by the banks.
        "selects": plan.lanes * plan.membrane_bits * sum(op.operand == "constant" for op in passes),
        "level_selects": plan.lanes * plan.membrane_bits * max(1, layer.neuron.levels) * sum(
            op.by_level for op in passes),
        "product": lanes * layer.weight_bits * value_bits,
        "addends": lanes * layer.weight_bits * max(0, value_bits - 3),
        "rotated": lanes * layer.weight_bits * sum(
            count - 1 for count, turns in zip(plan.banks, plan.rotates, strict=True) if turns),
        "pairs": lanes * layer.weight_bits * core.pairs,
        "words": bits * core.adds_words,
        "memory": bits * in_memory,
        "forward": bits * (plan.forwards and in_memory),
        # A table of constants is a function of the row, shared by the banks.
        "varied": plan.lanes * plan.membrane_bits * _varied(code, plan.position_rows > 1) * max(
            1, plan.position_rows / (1 << inputs)),
        "varied_rows": plan.lanes * plan.membrane_bits * _varied(code, plan.position_rows > 1) * (
            plan.position_rows - 1) / (1 << inputs),
        "ram_mux": core.memory.used_bits * (_blocks_deep(core.memory) - 1),
        "lut_ram": _lut_ram(own, inputs),
        "lut_ram_mux": _lut_ram_mux(own, inputs),
        "lanes": lanes,
        "spikes": lanes * (core.fires_once + core.remembered_levels),
        "banks": banks * row_bits * (banks > 1),
        "coordinates": coordinates * (row_bits + word_bits),
        "windows": coordinates * sum(plan.banks) * (banks > 1),
        "chunks": core.memory.chunks,
        "addresses": row_bits + word_bits,
        "scattered": (row_bits + word_bits) * plan.scattered,
        "streams": len(core.inputs),
        "passes": len(passes),
        "control": 1,
    }


@lru_cache(maxsize=64)
def _varied(code: Microcode, rows: bool) -> int:
    """Number of constants of the passes that differ between channels, which one lane has in turn if there are several
    rows at a position."""
    tables = [table for op in code.passes for table in (op.base, op.values if op.operand == "constant" else None)]
    return rows * sum(table is not None and len(np.unique(table)) > 1 for table in tables)


def _entry_units(program: Program) -> Iterator[Unit]:
    network, config = program.network, program.config
    layout = network.input_layout
    kind = "guard" if config.port == "events" else "pixels" if network.input_kind == "direct" else "latency"
    yield Unit(name="encoder" if config.port == "image" else "guard", kind=kind, features={
        "address": layout.address_bits, "value": layout.value_bits, "steps": min(network.longest or 0, 64),
        "pixels": network.inputs / 64, "pairs": float(program.cores[0].pairs), "control": 1})
    yield Unit(name="port", kind="port", features={
        "cores": len(program.cores), "words": sum(bits_for_unsigned(core.memory.depth) for core in program.cores),
        "edges": sum(sum(layout.bits for layout in core.layouts) for core in program.cores), "control": 1})


def _readout_unit(network: IntegerNetwork, config: ArrayConfig, output: CoreSpec) -> Unit:
    score, lanes = result_score_bits(network, output.plan), output.plan.elements
    return Unit(name="readout", kind="readout", features={
        "tree": score * lanes * (config.winner == "tree"), "scan": score * (config.winner == "scan"), "score": score,
        "counts": score * lanes * (network.readout in ("spike_count", "weighted_spikes")), "lanes": lanes,
        "rows": float(output.plan.rows > 1), "early": score * config.early_exit,
        "membranes": lanes * output.value_bits, "control": 1})
