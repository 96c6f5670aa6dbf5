# SPDX-License-Identifier: MIT
"""Description of a core: the one source of its hardware, its timing twin and its memory images."""

import math
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from .bias_rows import bias_rows
from .connectivity import Conv2d, Dense, to_plain
from .delaying import Delaying
from .events import SHIFT_ADD_MAX, TokenLayout
from .external import (
    Fetching,
)
from .fixed import ceil_div
from .layer import Layer
from .layer_plan import GROUP_BITS, ROW_CYCLES, LayerPlan, spike_queue_depth
from .memory import MemoryShape
from .merging import Merging
from .microcode import Microcode, RowOp
from .parity import parity_bits
from .walk import Walk, row_stride

__all__ = ["CoreInput", "CoreSpec"]

REMOTE_ROW_CYCLES = 5
"""Cycles after which a row can be visited again, if its memory has registers on both sides."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CoreInput:
    """A stream of events that a core takes, for one set of its synapses.

    Parameters
    ----------
    source : int
        Number of the layer that sends the stream; −1: the network's input.
    recurrent : bool
        Whether the layer itself sends the stream.
    connectivity : Dense or Conv2d
        Without a pool, where the stream comes merged.
    layout : TokenLayout
        Layout of the stream's tokens, as the core takes them.
    walk : Walk
        Rows that its events visit.
    merging : Merging or None
        What a pool merger in front of the core does; None: there is none.
    delaying : Delaying or None
        What a delay line in front of the core, and of the merger or fetcher, does; None: there is none, as all delays
        are 0 and a fetcher needs no other order.
    fetching : Fetching or None
        What a weight fetcher in front of the core does; None: there is none, as the weights are on the chip.
    """

    source: int
    recurrent: bool
    connectivity: Dense | Conv2d
    layout: TokenLayout
    walk: Walk
    merging: Merging | None = None
    delaying: Delaying | None = None
    fetching: Fetching | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class CoreSpec:
    """One core: a layer, its mapping, and what follows from both.

    `core_specs` makes the descriptions of all cores of a network. `Core`, its timing twin, its memory images and the
    work estimate read nothing else about the network or the array.

    Parameters
    ----------
    index : int
        Number of the layer.
    layer : Layer
    plan : LayerPlan
    microcode : Microcode
    inputs : tuple of CoreInput
        Streams that the core takes, first the one from the previous layer.
    bias_word : int
        First word of the bias rows in the weight memory.
    sends : bool
        Whether some core takes this core's spikes.
    out_slots : int
        Spikes that a token of the stream to it has room for, 1 or 2.
    value_bits : int
        Width of the membranes that the core hands to the read-out with a row of spikes; 0: none.
    tag_bits : int
        Width of the running numbers that tell inferences apart.
    read_back : bool
        Whether a host can read the weight memory.
    """

    index: int
    layer: Layer
    plan: LayerPlan
    microcode: Microcode
    inputs: tuple[CoreInput, ...]
    bias_word: int
    sends: bool
    out_slots: int = 1
    value_bits: int = 0
    tag_bits: int = 1
    read_back: bool = False

    @property
    def fetching(self) -> Fetching | None:
        """What the weight fetcher in front of the core does; None: there is none."""
        return self.inputs[0].fetching

    @property
    def recurrent(self) -> int | None:
        """Index in ``inputs`` of the layer's own stream; None: the layer is not recurrent."""
        return next((place for place, one in enumerate(self.inputs) if one.recurrent), None)

    @property
    def layouts(self) -> tuple[TokenLayout, ...]:
        """Token layout of each input stream."""
        return tuple(one.layout for one in self.inputs)

    @property
    def walks(self) -> tuple[Walk, ...]:
        """Walk of each input stream: the rows that its events visit."""
        return tuple(one.walk for one in self.inputs)

    @property
    def out_layout(self) -> TokenLayout:
        """Token layout of the stream that the core sends."""
        return replace(self.layer.out_layout, slots=self.out_slots)

    @property
    def pairs(self) -> bool:
        """Whether the core takes two events at once."""
        return self.plan.options.events_per_cycle == 2

    @property
    def tiles_reached(self) -> int:
        """Number of tiles that a visit of an event can reach: with several banks, a power of two along each axis."""
        furthest = (max(int(getattr(walk, axis).window.tiles.max()) for walk in self.walks) for axis in ("y", "x"))
        return math.prod(1 << one.bit_length() for one in furthest)

    @property
    def bias_stride(self) -> int:
        """Distance in words from one bias row to the next."""
        return self.plan.position_rows if isinstance(self.layer.connectivity, Conv2d) else row_stride(self.plan)

    @property
    def queue_depth(self) -> int:
        """Number of spike words that can wait for the extractor."""
        return spike_queue_depth(self.plan)

    @property
    def parity(self) -> bool:
        """Whether the memories of the core carry parity."""
        return self.plan.options.parity

    @property
    def fires_once(self) -> bool:
        """Whether the core masks every spike of a neuron but its first."""
        return self.layer.neuron.single_spike and self.layer.neuron.theta is not None

    @property
    def polarity(self) -> bool:
        """Whether the values of its events are −1, 0 or 1, so that a product is a negation."""
        return all(layout.low >= -1 and layout.high == 1 for layout in self.layouts)

    @property
    def multiplies(self) -> bool:
        """Whether the products of weights and values are multiplications, in each element: of numbers that are too
        large for a sum of shifted weights, or have a sign."""
        if self.plan.bit_serial:
            return False
        signed = any(layout.signed for layout in self.layouts)
        return (signed and not self.polarity) or max(layout.high for layout in self.layouts) > SHIFT_ADD_MAX

    @property
    def leak_multipliers(self) -> int:
        """Number of multipliers of 18 × 18 bits that the leaks take, with `LayerOptions.multiplies_leaks`: of all
        elements."""
        bits = (self.plan.membrane_bits if store == "membrane" else self.plan.current_bits
                for store in self.microcode.leak_products)
        return self.plan.elements * sum(ceil_div(one - 1, 17) for one in bits)

    @property
    def remembered_levels(self) -> int:
        """Number of thresholds for which the core remembers, after the capturing pass, which neurons reached them."""
        return max((self.layer.neuron.levels if op.by_level else 1 for op in self.microcode.asking), default=0)

    def holds(self, op: RowOp) -> bool:
        """Whether neurons that did not spike keep u in a pass, instead of adding 0 to it."""
        chosen = op.by_level or op.operand == "rise"
        return self.plan.in_one_row and chosen and self.layer.neuron.levels == 1

    @property
    def adds_words(self) -> bool:
        """Whether all that is ever added to the membranes is one word of the weight memory, unchanged."""
        changed = self.pairs or any(self.plan.rotates) or any(layout.value_bits for layout in self.layouts)
        return self.microcode.pure_weights and not changed

    @property
    def address_stage(self) -> bool:
        """Whether a row waits for a cycle between issue and fetch, with the address of its weights: that address is a
        sum, and has long wires. A core that `adds_words` has a register there in any case."""
        return not self.adds_words and (len(self.inputs) > 1 or any(place.walk.x is not None for place in self.inputs))

    @cached_property
    def remote_rows(self) -> bool:
        """Whether memories of rows have registers on both sides, as block RAMs are far from the lanes: a row is read in
        the address stage, and written in the cycle after it was added. It can be taken again after `row_cycles`, so not
        where events would visit it sooner, but for those at the border of the map."""
        plan = self.plan
        simple = not (plan.forwards or plan.sum_rows or plan.options.parity or any(plan.options.lut_ram))
        return plan.scattered and simple and self.address_stage and all(
            plan.row_spacing(one.connectivity) >= REMOTE_ROW_CYCLES for one in (self.layer, *self.layer.branches))

    @property
    def row_cycles(self) -> int:
        """Cycles after which a row of a memory can be taken again, unless its sums are forwarded."""
        return REMOTE_ROW_CYCLES if self.remote_rows else ROW_CYCLES

    @cached_property
    def marker_rows(self) -> np.ndarray:
        """Rows of weights for the passes of markers, int64[R, C]: those of the bias, and one of zeros for passes that
        add something else."""
        rows = bias_rows(self.layer)
        if self.microcode.pure_weights or not rows.any(1).all():
            return rows
        return np.append(rows, np.zeros((1, self.layer.channels), dtype=np.int64), axis=0)

    def marker_row(self, op: RowOp) -> int:
        """Return which of `marker_rows` a pass takes."""
        if op.operand == "weight":
            return op.index
        return int(self.marker_rows.any(1).argmin())

    @cached_property
    def memory(self) -> MemoryShape:
        """Weight memory: weights in the order of the walks, or the buffers of a weight fetcher, then `marker_rows`. The
        program port can write it."""
        depth = self.bias_word + len(self.marker_rows) * self.bias_stride
        return MemoryShape(
            name=f"core{self.index}_weights", depth=depth, used_bits=self.plan.elements * self.layer.weight_bits,
            loadable=True, single_port=self.plan.options.single_port, read_ports=self.plan.options.events_per_cycle,
            parity=self.parity)

    @cached_property
    def memories(self) -> tuple[MemoryShape, ...]:
        """All memories of the core, of the delay lines and mergers in front of it, and of its spike queue.

        Those of the core are the weights and, in each bank, membranes and what goes with them, if they are not in
        registers. The parity of a row is in a memory of its own.
        """
        plan, found = self.plan, [self.memory]
        for place, one in enumerate(self.inputs):
            found += one.delaying.memories(f"delays{self.index}_{place}") if one.delaying else ()
            found += one.merging.memories(f"merger{self.index}_{place}") if one.merging else ()
            found += one.fetching.memories(f"fetcher{self.index}") if one.fetching else ()
        if not plan.in_registers:
            bits = plan.membrane_bits
            widths = {
                "membranes": bits, "currents": plan.current_bits * self.microcode.has_current,
                "traces": plan.current_bits * self.microcode.has_trace,
                "trace_shadow": plan.current_bits * any(op.act == "save" for op in self.microcode.trace_leak),
                "rises": plan.current_bits * self.microcode.has_rise,
                "rise_shadow": plan.current_bits * any(op.act == "save" for op in self.microcode.rise_passes),
                "shadow": bits * any(op.operand == "shadow" for op in self.microcode.passes),
                "fired": int(self.fires_once), "spiked": self.remembered_levels,
            }
            rows = [
                MemoryShape(name=f"core{self.index}_{name}", depth=plan.rows, used_bits=width * plan.lanes,
                            lut_ram=plan.options.lut_ram[name != "membranes"])
                for name, width in widths.items() if width for _ in range(plan.bank_count)
            ]
            if plan.sum_rows:
                rows.append(MemoryShape(
                    name=f"core{self.index}_sums", depth=plan.sum_rows, used_bits=bits * plan.lanes,
                    lut_ram=plan.options.lut_ram[1]))
            found += rows
            if self.parity:
                found += [replace(one, name=f"{one.name}_parity", used_bits=parity_bits(one.used_bits)) for one in rows]
        if self.queue_depth > 1:
            layout = self.layer.out_layout
            word = 2 + layout.address_bits + ceil_div(plan.word_lanes, GROUP_BITS)
            word += plan.word_lanes * (1 + layout.value_bits)
            found.append(MemoryShape(name=f"queue{self.index}", depth=self.queue_depth, used_bits=word))
        return tuple(found)

    def hardware(self) -> dict[str, Any]:
        """Return what the RTL of the core depends on, as plain JSON values. Memory images are not part of it.

        Two cores with equal results are the same hardware: weights and biases of one, which are memory images, can be
        loaded into the other.
        """
        code = self.microcode
        return {
            "mapping": asdict(self.plan.options),
            "synapses": [[one.source, to_plain(one.connectivity)] for one in self.inputs],
            **({} if self.layer.current_pool is None else {"current_pool": asdict(self.layer.current_pool)}),
            "streams": [asdict(one.layout) for one in self.inputs],
            **({"mergings": [one.merging and asdict(one.merging) for one in self.inputs]}
               if self.plan.options.merges else {}),
            **({"delays": [one.delaying and one.delaying.delays.tolist() for one in self.inputs]}
               if any(one.delaying for one in self.inputs) else {}),
            **({"external": [self.fetching.base, self.fetching.beat_bits]} if self.fetching else {}),
            "weights": [self.layer.weight_bits, self.memory.depth,
                        *([self.layer.weight_exponent] if self.layer.weight_exponent else [])],
            "neurons": {
                "passes": [[_plain_pass(op) for op in ops]
                           for ops in ((code.event,), code.start, code.step, code.final)],
                "offset": code.offset.tolist(), "current": code.current.tolist(),
                "levels": None if code.levels is None else code.levels.tolist(), "fires_once": self.fires_once,
            },
            "outputs": [self.sends, self.value_bits, self.tag_bits, self.read_back],
        }


def _plain_pass(op: RowOp) -> list[Any]:
    values, base = (None if one is None else one.tolist() for one in (op.values, op.base))
    plain = [op.act, op.operand, op.index, values, op.when, base, op.store, op.halve, op.settle]
    if op.channels is not None:
        plain.append(op.channels.tolist())
    if op.toward_zero:
        plain.append("toward zero")
    aside = {name: _plain_pass(one) for name in ("beside", "rising") if (one := getattr(op, name)) is not None}
    return [*plain, aside] if aside else plain
