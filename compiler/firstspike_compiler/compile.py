# SPDX-License-Identifier: MIT
"""Compilation of a trained network to a program: the passes in their order, and a report of each."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from firstspike_arch.array import ArrayConfig
from firstspike_arch.bias_rows import has_constant_bias
from firstspike_arch.connectivity import Shape
from firstspike_arch.core_specs import can_multiply_leaks, core_spec
from firstspike_arch.float_network import FloatNetwork
from firstspike_arch.layer_options import LayerOptions
from firstspike_arch.layer_plan import LayerPlan
from firstspike_arch.network import IntegerNetwork
from firstspike_arch.program import Program

from .errors import CompileError
from .options import Options, check_mapping, given_options
from .passes.choose_scales import choose_scales, take_scales
from .passes.fold_normalisation import fold_normalisation
from .passes.lower_max_pools import lower_max_pools
from .passes.map_layers import map_layers
from .passes.prove_widths import WidthProof, prove_widths
from .passes.quantise import Rounding, quantise
from .passes.round_leaks import round_leaks

__all__ = [
    "MAPPING_PASSES", "PROOF_PASSES", "REAL_PASSES", "Compilation", "PassResult", "compile_network", "remap",
    "remap_as",
]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Draft:
    """An unfinished compilation: the results of the passes so far."""

    options: Options
    source: FloatNetwork | IntegerNetwork
    real: Any = None
    """FloatNetwork; None if the network came as integers."""
    integer: Any = None
    """IntegerNetwork, once quantised."""
    roundings: tuple[Rounding, ...] = ()
    proofs: tuple[WidthProof, ...] = ()
    layers: tuple[LayerOptions, ...] = ()
    program: Any = None
    """Program, once assembled."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PassResult:
    """The result of one pass (a network, proofs, options or a program), and a sentence about it."""

    name: str
    result: object
    text: str


Pass = Callable[[_Draft], tuple[_Draft, PassResult]]


def _lower(draft: _Draft) -> tuple[_Draft, PassResult]:
    pools = sum(layer.max_pool for layer in draft.real.layers)
    draft = replace(draft, real=lower_max_pools(draft.real))
    text = f"made {pools} max pools layers of neurons that fire once"
    return draft, PassResult(name="lower_max_pools", result=draft.real, text=text)


def _take(draft: _Draft) -> tuple[_Draft, PassResult]:
    given, before = draft.options.weight_scale, draft.real
    draft = replace(draft, real=take_scales(before, given, draft.options.weight_bits))
    fixed = sum(layer.weight_scale is not None for layer in draft.real.layers)
    text = f"one step is fixed before in {fixed} of {len(before.layers)} layers"
    return draft, PassResult(name="take_scales", result=draft.real, text=text)


def _fold(draft: _Draft) -> tuple[_Draft, PassResult]:
    folded = sum(layer.gain is not None for layer in draft.real.layers)
    draft = replace(draft, real=fold_normalisation(draft.real))
    text = f"folded the weight normalisation of {folded} of {len(draft.real.layers)} layers"
    return draft, PassResult(name="fold_normalisation", result=draft.real, text=text)


def _scale(draft: _Draft) -> tuple[_Draft, PassResult]:
    before = draft.real
    options = draft.options
    draft = replace(draft, real=choose_scales(
        before, options.weight_bits, per_channel=options.per_channel, percentile=options.percentile,
        powers=options.powers))
    parts = []
    for old, new in zip(before.layers, draft.real.layers, strict=True):
        low, high = np.min(new.weight_scale), np.max(new.weight_scale)
        kept = "kept" if old.weight_scale is not None and old.weight_scale == low else "chosen"
        span = f"{low:.6g}" if np.ndim(new.weight_scale) == 0 else f"{low:.6g}…{high:.6g} by channel"
        parts.append(f"{span} at {new.weight_bits} bits ({kept})")
    return draft, PassResult(name="choose_scales", result=draft.real, text="one step is " + ", ".join(parts))


def _quantise(draft: _Draft) -> tuple[_Draft, PassResult]:
    options = draft.options
    integer, roundings = quantise(
        draft.real, in_min=options.in_min, in_max=options.in_max, steps_max=options.steps_max,
        leak_shift_max=options.leak_shift_max, endless=options.endless,
    )
    lines = [
        f"{item.layer}: weights off by {item.weight_error:.3f} steps r.m.s., {item.saturated} saturated; "
        f"bias off by ≤ {item.bias_error:.3f}, theta up by ≤ {item.theta_error:.3f} (no loss), "
        f"reset off by ≤ {item.reset_error:.3f}; leak {item.leak} off by {item.leak_error:+.2g}"
        + (f"; leak of currents {item.current_leak} off by {item.current_leak_error:+.2g}" if item.current_leak else "")
        + (f"; leak of thresholds {item.rise_leak} off by {item.rise_leak_error:+.2g}" if item.rise_leak else "")
        for item in roundings
    ]
    lines += [f"warning: {item.layer}: {sentence}" for item in roundings for sentence in item.warnings]
    if options.events is None:  # what the real network tells of its events outlives it, for `remap`
        options = replace(options, events=[layer.events for layer in draft.real.layers])
    draft = replace(draft, options=options, integer=integer, roundings=roundings)
    return draft, PassResult(name="quantise", result=integer, text="\n".join(lines))


def _round_leaks(draft: _Draft) -> tuple[_Draft, PassResult]:
    # Training by firstspike rounds down in its own forward pass, and fits the weights to it.
    default = "floor" if draft.real.recipe and draft.real.leak_rounding is None else draft.real.leak_rounding
    given = draft.options.leak_rounding
    integer, leaks = round_leaks(draft.integer, default if given is None else given)
    lines = [", ".join(f"{item.layer} {item.text}" for item in leaks)]
    lines += [f"warning: {item.layer}: {sentence}" for item in leaks for sentence in item.warnings]
    return replace(draft, integer=integer), PassResult(name="round_leaks", result=integer, text="\n".join(lines))


def _prove(draft: _Draft) -> tuple[_Draft, PassResult]:
    draft = replace(draft, proofs=prove_widths(draft.integer))
    text = "\n".join(str(proof) for proof in draft.proofs)
    return draft, PassResult(name="prove_widths", result=draft.proofs, text=text)


def _map(draft: _Draft) -> tuple[_Draft, PassResult]:
    options, network = draft.options, draft.integer
    check_mapping(options, network)
    if options.layers is not None:
        if len(options.layers) != len(network.layers):
            raise CompileError(f"layers must be options of each of the {len(network.layers)} layers, not of "
                               f"{len(options.layers)}")
        return _mapped(draft, tuple(options.layers))
    templates = []
    for index, (layer, proof) in enumerate(zip(network.layers, draft.proofs, strict=True)):
        bits = proof.bits + options.headroom_bits
        if bits > 48:
            raise CompileError(f"layer {index} ({layer.name}): membranes must fit 48 bits, not {bits}")
        templates.append(LayerOptions(
            lanes=1, membrane_bits=bits,
            current_bits=proof.current_bits and min(proof.current_bits + options.headroom_bits, bits),
            register_rows=options.register_rows, bit_serial=options.bit_serial and index == 0,
            single_port=index in options.single_port, external=2 * (index in options.external),
            parity=options.protect == "parity",
        ))
    chosen = map_layers(
        network, templates, lanes=options.lanes, lane_budget=options.lane_budget, events=options.events,
        given=given_options(network, options), beat_bits=options.beat_bits)
    return _mapped(draft, chosen)


def _mapped(draft: _Draft, chosen: tuple[LayerOptions, ...]) -> tuple[_Draft, PassResult]:
    text = "\n".join(
        f"{layer.name}: {layer.neurons} neurons on {_banks_and_lanes(one)}"
        f"{', two events a cycle' * (one.events_per_cycle == 2)}{', spikes of a pool window merged' * one.merges}"
        f"{', rows that no event of a step reached skipped' * one.skips}"
        f"{', sums forwarded' * one.forwards}"
        f"{', leaks multiplied' * one.multiplies_leaks}"
        f"{_in_lut_ram(one)}{', weights in external memory' * bool(one.external)}"
        f"{', a bias too large for weights as a constant' * has_constant_bias(layer)}"
        for layer, one in zip(draft.integer.layers, chosen, strict=True)
    )
    return replace(draft, layers=chosen), PassResult(name="map_layers", result=chosen, text=text)


def _in_lut_ram(options: LayerOptions) -> str:
    names = [name for name, one in zip(("membranes", "what goes with them"), options.lut_ram, strict=True) if one]
    return f", {' and '.join(names)} in LUT RAM" * bool(names)


def _banks_and_lanes(options: LayerOptions) -> str:
    banks, lanes = math.prod(options.banks), f"{options.lanes} lane{'s' * (options.lanes > 1)}"
    return lanes if banks == 1 else f"{lanes} in each of {options.banks[0]}×{options.banks[1]} banks"


def _assemble(draft: _Draft) -> tuple[_Draft, PassResult]:
    options = draft.options
    try:
        program = Program(network=draft.integer, config=ArrayConfig(
            layers=draft.layers, port=options.port, early_exit=options.early_exit, winner=options.winner,
            timeout=options.timeout, read_back=options.read_back, ordered=options.ordered,
            beat_bits=options.beat_bits,
        ))
    except ValueError as error:
        raise CompileError(str(error)) from None
    text = (f"{sum(core.plan.elements for core in program.cores)} processing elements, "
            f"{sum(shape.depth * shape.used_bits for shape in program.memories())} bits of weights and biases"
            + ", all memories of the cores with parity" * program.has_parity
            + (f", {program.external_octets} octets of weights in an external memory" if program.external else "")
            + "".join(_more_passes(program, core.index) for core in program.cores))
    return replace(draft, program=program), PassResult(name="assemble", result=program, text=text)


def _more_passes(program: Program, index: int) -> str:
    """Return a line that says what halving costs a core whose leaks could be multiplied; "": nothing."""
    core = program.cores[index]
    if not can_multiply_leaks(program.network, index):
        return ""
    multiplying = core_spec(program.network, index, replace(core.plan.options, multiplies_leaks=True))
    passes, fewer = len(core.microcode.step), len(multiplying.microcode.step)
    return (f"\n{core.layer.name}: {passes} passes at the end of a step; with leaks multiplied (multiplies_leaks) "
            f"{fewer}") * (passes > fewer)


REAL_PASSES = (_lower, _take, _fold, _scale, _quantise, _round_leaks)
"""Passes, in order, that turn a network of real numbers into integers."""

PROOF_PASSES = (_prove,)
"""Passes on an integer network that do not depend on its mapping."""

MAPPING_PASSES = (_map, _assemble)
"""Passes, in order, that turn a proved network into a program."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Compilation:
    """A program, and the results of the passes that made it.

    Parameters
    ----------
    source : FloatNetwork or IntegerNetwork
        The network that was compiled; `compile_network` makes the same of it with these ``options``.
    options : Options
    program : Program
    passes : tuple of PassResult
        Results in the order in which the passes ran.
    proofs : tuple of WidthProof
        One proof for each layer.
    roundings : tuple of Rounding
        Rounding errors of each layer; empty if the network came as integers.
    """

    source: FloatNetwork | IntegerNetwork
    options: Options
    program: Program
    passes: tuple[PassResult, ...]
    proofs: tuple[WidthProof, ...]
    roundings: tuple[Rounding, ...]

    def report(self) -> str:
        """Return a text that describes each pass, and a table of the layers."""
        network, config = self.program.network, self.program.config
        lines = [
            f"{network.name}: {network.input_kind} input, {network.readout}, {network.steps} steps "
            f"({'a window' if network.endless else f'at most {network.steps_max}'}), port {config.port}, early exit "
            f"{'on' if config.early_exit else 'off'}",
            "",
        ]
        for item in self.passes:
            first, *rest = item.text.splitlines() or [""]
            lines.append(f"{item.name:18} {first}")
            lines.extend(f"{'':18} {line}" for line in rest)
        head = ("layer", "shape", "scale", "w bits", "saturated", "membrane", "lanes", "rows", "memory bits")
        table: list[tuple[str, ...]] = [head]
        for index, core in enumerate(self.program.cores):
            layer, plan = core.layer, core.plan
            saturated = str(self.roundings[index].saturated) if self.roundings else "-"
            table.append((
                layer.name, f"{_shape(layer.in_shape)}→{_shape(layer.out_shape)}", f"{layer.scale:.6g}",
                str(layer.weight_bits), saturated,
                f"{plan.membrane_bits} ({self.proofs[index].bits} proved)"
                + f", current {plan.current_bits}" * layer.neuron.lasts
                + f", rise {plan.current_bits}" * layer.neuron.adapts, _lanes(plan), str(plan.rows),
                str(core.memory.depth * core.memory.stored_bits),
            ))
        widths = [max(len(row[column]) for row in table) for column in range(len(head))]
        lines.append("")
        lines.extend(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table
        )
        return "\n".join(lines) + "\n"


def compile_network(network: FloatNetwork | IntegerNetwork, **options) -> Compilation:
    """Compile a network.

    Parameters
    ----------
    network : FloatNetwork or IntegerNetwork
        Network to compile. An integer network is only proved and mapped.
    lanes : int or sequence of int, optional
        Lanes (processing elements of a bank) of every layer, or of each.
    lane_budget : int, optional
        Processing elements of all layers together (default 256), if ``lanes`` is not given: lanes and banks are then
        chosen together, see `map_layers`.
    events : sequence of float or None, optional
        Expected input events of each layer in an inference, by which lanes and banks are chosen. None: as the network
        says, else estimated.
    kernel_parallel : bool or sequence of bool
        Whether all output positions that an event reaches are updated at once, each in a bank of ``lanes`` of its own:
        for every layer that can, or for each layer: short for ``banks`` as large as they can be. None: chosen for each
        layer; with ``lanes``, for no layer.
    banks : sequence of (int, int), optional
        Kernel-parallel banks of each layer, down and across, each a bank of ``lanes``; (1, 1): a single one. A layer
        with fewer banks than positions that an event reaches takes several visits for an event: on a kernel of 5 × 5,
        (1, 5) banks take five. Weights take as many times more block RAM as there are banks, unless the kernel
        ``rotates``; see `LayerOptions`.
    rotates : bool, or sequence of bool or of (bool, bool)
        Whether kernels are stored once and rotated to the banks, along both axes: in every layer, or in each; or along
        which, down and across. It saves block RAM and costs LUTs, see `LayerOptions`. None: chosen for each layer; with
        ``lanes``, for no layer.
    merges : bool or sequence of bool
        Whether the spikes of a pool window in a step reach a core as one event, see `LayerOptions`: for every layer
        that takes spikes through a pool, or for each layer. None: chosen for each layer; with ``lanes``, for no layer.
    bit_serial : bool
        For an input of numbers, none of them negative: shift and add, once for each bit that is 1, instead of
        multiplying.
    weight_bits : int or sequence of int, optional
        Bits a weight, 2 … 8, for every layer or for each, instead of those the network was trained for.
    weight_scale : float or sequence of float or None, optional
        Real value of one step of the network's weights, as training fixed it: for every layer that has none yet, or for
        each layer (None: it is found or chosen).
    per_channel, percentile, powers
        Choice of weight scales, see `choose_scales`.
    port : "events" or "image"
        Input port, see `ArrayConfig`.
    early_exit : bool
        Decide at the first step that settles the class.
    winner : "tree" or "scan"
        Comparison of output neurons in the read-out, see `ArrayConfig`.
    register_rows : int
        Largest number of rows whose membranes are kept in registers, see `LayerOptions`.
    single_port : sequence of int
        Numbers of the layers whose weights lie in a memory with one port, which a host loads; see `LayerOptions`.
    events_per_cycle : int or sequence of int
        Events that a layer takes in one cycle, 1 or 2: of every layer that can, or of each; see `LayerOptions`. Dense
        layers that take a vector can, unless their weights lie in a memory with one port. None: 1, or, for a device,
        chosen for each layer.
    skips : bool or sequence of bool
        Whether the marker of a step visits only rows that an event of the step reached, see `LayerOptions`: for every
        layer that can, or for each layer. It pays in convolutions with few events a step, as from an event camera.
        None: chosen for each layer; with ``lanes``, for no layer.
    forwards : bool or sequence of bool
        Whether sums of a convolution are forwarded to an event that visits the same row at once, see `LayerOptions`: in
        every convolution, or in each layer. None: chosen for each layer; with ``lanes``, only where events visit no
        more than two rows.
    multiplies_leaks : bool or sequence of bool
        Whether leaks that take several passes are multiplications in one, see `LayerOptions`: in every layer that has
        such, or in each layer. None: with a device, chosen for each layer, as its multipliers allow; else in none.
    lut_ram : bool, or sequence of bool or of (bool, bool)
        Whether membranes, and what goes with them, are in LUT RAM if they are in a memory, however many rows they have:
        in every layer, or in each; or which of both. It saves block RAM, see `LayerOptions`. None: chosen for each
        layer where a device is known; else for no layer.
    headroom_bits : int
        Membrane bits beyond the proof, so that other weights fit later.
    endless : bool
        Whether inferences need not end, and results come every ``steps_max`` steps, see `IntegerNetwork`. It replaces
        that of a real network.
    in_min, in_max, steps_max : int
        Least and largest number of an input address, in a step or of a direct input; and steps of the longest
        inference. They replace those of a real network.
    leak_shift_max : int
        Largest shift of a leak num / 2^shift, 0 … 15; None: as large as the leaks need, see `quantise`.
    leak_rounding : "nearest" or "floor"
        How membranes round as they leak, see `round_leaks`. None: as the network says; else "floor" if firstspike
        trained it, and to the nearest where that is better if not.
    timeout : int
        Cycles of silence within an inference after which it is ended, see `ArrayConfig`; 0: never.
    read_back : bool
        Whether a host can read weights and biases back.
    ordered : bool
        Whether events that come twice in a step, or not in the order of their neurons, are dropped and counted, see
        `ArrayConfig`.
    external : sequence of int
        Numbers of the layers whose weights lie in an external memory, see `LayerOptions`.
    beat_bits : int
        Width of the external memory's responses, 32, 64 or 128.
    protect : "none" or "parity"
        Whether the memories of all cores carry parity, and words that do not fit it are counted as they are read, see
        `LayerOptions`.
    layers : sequence of LayerOptions
        The mapping of each layer, as an earlier compilation has chosen it (`Program.config`), in place of all options
        that concern it.

    Raises
    ------
    CompileError
        The network or an option breaks a rule; the message names the layer and the rule.
    """
    return _compile(network, Options(**options))


def remap(compilation: Compilation, **changes) -> Compilation:
    """Map the same integer network differently. Only the mapping passes run again.

    Parameters
    ----------
    changes
        Options of `compile_network` that concern the mapping: ``lanes``, ``lane_budget``, ``banks``, …

    Raises
    ------
    CompileError
        An option breaks a rule.
    """
    return _run_again(compilation, replace(compilation.options, **{"layers": None, **changes}))


def remap_as(compilation: Compilation, layers: Sequence[LayerOptions]) -> Compilation:
    """Map the same integer network as these options of each layer say, in place of the mapping options.

    Raises
    ------
    CompileError
        An option does not fit its layer.
    """
    return _run_again(compilation, replace(compilation.options, layers=tuple(layers)))


def _run_again(compilation: Compilation, options: Options) -> Compilation:
    """Run the mapping passes again, with other options."""
    draft = _Draft(options=options, source=compilation.source, integer=compilation.program.network,
                   roundings=compilation.roundings, proofs=compilation.proofs)
    return _run(draft, MAPPING_PASSES, compilation.passes[: -len(MAPPING_PASSES)])


def _compile(network: FloatNetwork | IntegerNetwork, options: Options) -> Compilation:
    if isinstance(network, IntegerNetwork):
        for name, what in (("weight_bits", "weights"), ("weight_scale", "weights"), ("leak_rounding", "leaks")):
            if getattr(options, name) is not None:
                raise CompileError(f"{name} must not be given for an integer network, whose {what} are quantised")
        return _run(_Draft(options=options, source=network, integer=network), PROOF_PASSES + MAPPING_PASSES)
    if isinstance(network, FloatNetwork):
        return _run(_Draft(options=options, source=network, real=network), REAL_PASSES + PROOF_PASSES + MAPPING_PASSES)
    raise CompileError(f"network must be a FloatNetwork or an IntegerNetwork, not {type(network).__name__}")


def _run(draft: _Draft, passes: Iterable[Pass], before: tuple[PassResult, ...] = ()) -> Compilation:
    results = [*before]
    for run in passes:
        draft, result = run(draft)
        results.append(result)
    return Compilation(source=draft.source, options=draft.options, program=draft.program, passes=tuple(results),
                       proofs=draft.proofs, roundings=draft.roundings)


def _lanes(plan: LayerPlan) -> str:
    if plan.bank_count == 1:
        return str(plan.lanes)
    axes = [name for name, rotates in zip(("down", "across"), plan.rotates, strict=True) if rotates]
    return f"{plan.banks[0]}×{plan.banks[1]}×{plan.lanes}" + " rotated " * bool(axes) + " and ".join(axes)


def _shape(shape: Shape) -> str:
    return "×".join(map(str, shape))
