# SPDX-License-Identifier: MIT
"""firstspike inspect FILE"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from firstspike_arch.checkpoint import CheckpointError, list_tensors
from firstspike_arch.connectivity import Conv2d, ConvTranspose2d, Dense, Shape, Window, size_of
from firstspike_arch.core_spec import CoreSpec
from firstspike_arch.float_network import FloatLayer, FloatNetwork
from firstspike_arch.network import INPUT, Layer
from firstspike_arch.neuron import FloatNeuron, Neuron
from firstspike_arch.program import Program, ProgramError
from firstspike_compiler.errors import CompileError
from rich.console import Console
from rich.table import Table

from .build_folder import PROGRAM_FILE, BuildError, list_build, read_build
from .options import (
    CurrentDelay,
    CurrentRule,
    Gain,
    InMax,
    InputShape,
    LeakRule,
    Levels,
    Reset,
    ResetDelay,
    Start,
    Steps,
    StepTime,
    Strict,
    VMin,
    shape_option,
)
from .tables import print_table

if TYPE_CHECKING:
    from firstspike_compiler.frontends.nir_file import NirInspection

HEAD = ("layer", "type", "shapes", "takes", "neuron", "parameters", "weights", "operations a step", "memory, kbit")


def inspect(
    file: Annotated[Path, typer.Argument(help="Checkpoint, NIR or lava-dl file, or build folder, possibly broken.")],
    steps: Steps = None, reset: Reset = None, strict: Strict = None, dt: StepTime = None, leak_rule: LeakRule = None,
    gain: Gain = None, reset_delay: ResetDelay = None, current_rule: CurrentRule = None,
    current_delay: CurrentDelay = None, levels: Levels = None, v_min: VMin = None, start: Start = None,
    in_max: InMax = None, input_shape: InputShape = None,
) -> None:
    """Show the contents of a file, what they compile to, and what is refused and why; broken files are read, too.

    The exit status is 1 if anything is refused."""
    from .network_file import is_lava, is_nir

    console = Console(highlight=False, markup=False)  # names come from files
    options: dict[str, Any]
    if file.is_dir():
        whole = _build(console, file)
    elif is_lava(file):
        options = {} if input_shape is None else {"input_shape": shape_option(input_shape)}
        whole = _lava(console, file, steps=steps or 1, in_max=in_max or 1, **options)
    elif is_nir(file):
        from firstspike_compiler.frontends.nir_file import inspect_nir

        given = {"steps": steps, "reset": reset, "strict": strict, "dt": dt, "leak_rule": leak_rule, "gain": gain,
                 "reset_delay": reset_delay, "current_rule": current_rule, "current_delay": current_delay,
                 "levels": levels, "v_min": v_min, "start": start, "in_max": in_max}
        options = {name: value for name, value in given.items() if value is not None}
        whole = _nir(console, file, inspect_nir(file, **options))
    else:
        whole = _checkpoint(console, file)
    if not whole:
        raise typer.Exit(1)


def _checkpoint(console: Console, path: Path) -> bool:
    """Show a checkpoint; return whether nothing is refused, as the other functions do."""
    from .network_file import load

    try:
        network = load(path)
    except CheckpointError as error:
        table = Table("tensor", "type", "shape", "numbers", title=str(path))
        for one in list_tensors(path):
            table.add_row(one.name, one.dtype, _shape(one.shape), "complete" if one.whole else "cut off")
        if table.rows:
            print_table(console, table)
        console.print(f"refused: {error}", soft_wrap=True)
        return False
    console.print(f"{network.name}: {network.input_kind} input, {network.readout}, {network.steps} steps")
    print_table(console, _real_layers(dict(enumerate(network.layers))))
    return _verdict(console, network)


def _verdict(console: Console, network: FloatNetwork) -> bool:
    from firstspike_compiler.compile import compile_network

    try:
        compile_network(network, lanes=1)  # the cheapest mapping
    except CompileError:
        try:
            compile_network(network)  # with more lanes a memory is less deep, and the program port may reach all of it
        except CompileError as error:
            console.print(f"refused: {error}", soft_wrap=True)
            return False
    console.print("everything can be compiled")
    return True


def _lava(console: Console, path: Path, **options: Any) -> bool:
    from firstspike_arch.real_network import real_network
    from firstspike_compiler.frontends.lava_file import load_lava

    refused, network = [], None
    for readout in ("spike_count", "potential"):
        try:
            network = network or load_lava(path, readout=readout, **options)
        except CompileError as error:
            refused.append(error)
    if network is None:
        console.print(f"refused: {refused[0]}", soft_wrap=True)
        return False
    print_table(console, _real_layers(dict(enumerate(real_network(network).layers))))
    console.print("everything can be mapped; steps and read-out must be given: a file of lava-dl does not define them",
                  soft_wrap=True)
    return True


def _nir(console: Console, path: Path, found: "NirInspection") -> bool:
    table = Table("node", "type", "numbers", "becomes", "refused", title=str(path))
    nodes = found.graph.nodes
    for name in [*(one for one in found.roles if one in nodes), *(one for one in nodes if one not in found.roles)]:
        node = nodes[name]
        shapes = ", ".join(f"{part} {_small(node.fields.get(part), shape)}"
                           for part, shape in sorted(node.shapes.items()))
        table.add_row(name, node.kind, shapes or "-", found.roles.get(name, "-"), found.refusals.get(name, ""),
                      style="red" if name in found.refusals else None)
    print_table(console, table)
    console.print("edges: " + (", ".join(f"{one} → {other}" for one, other in found.graph.edges) or "none"))
    if found.layers:
        print_table(console, _real_layers(found.layers))
    for error in found.graph.errors:
        console.print(f"refused: {error}", soft_wrap=True)
    for note in found.notes:
        console.print(f"note: {note}", soft_wrap=True)
    if found.refusals or found.graph.errors:
        return False
    console.print("everything can be mapped; steps, reset, comparison and read-out must be given: a NIR file does "
                  "not define them", soft_wrap=True)
    return True


def _build(console: Console, folder: Path) -> bool:
    try:
        program, _ = read_build(folder)
    except (BuildError, ProgramError) as error:
        states, layers = list_build(folder)
        table = Table("file", "state", title=str(folder))
        for name, state in states.items():
            table.add_row(name, state, style=None if state in ("as compiled", "readable") else "red")
        print_table(console, table)
        try:
            print_table(console, _integer_layers(Program.load(folder / PROGRAM_FILE)))
        except ProgramError:
            table = Table("layer", "shapes", "weight bits", "membrane bits", "lanes", title="as in the manifest")
            for one in layers:
                table.add_row(*(str(one.get(name)) for name in ("name",)), f"{one.get('in_shape')} → "
                              f"{one.get('out_shape')}", *(str(one.get(name)) for name in (
                                  "weight_bits", "membrane_bits", "lanes")))
            print_table(console, table)
        console.print(f"refused: {error}", soft_wrap=True)
        return False
    network, config = program.network, program.config
    console.print(f"{network.name}: {network.input_kind} input, {network.readout}, {network.steps} steps (at most "
                  f"{network.steps_max}), port {config.port}, early exit {'on' if config.early_exit else 'off'}")
    print_table(console, _integer_layers(program))
    return True


def _real_layers(layers: dict[int, FloatLayer]) -> Table:
    table = Table(*HEAD)
    for index, layer in layers.items():
        weight = np.asarray(layer.weight)
        main = layer.connectivity or Dense(in_shape=weight.shape[1:], neurons=len(weight))
        reached = layer.current_pool.out_shape(main.out_shape) if layer.current_pool else main.out_shape
        sets = [(index - 1, weight, main), *((one.source, one.weight, one.connectivity) for one in layer.branches)]
        count = sum(np.size(values) for _, values, _ in sets)
        vectors = [layer.gain, layer.shift, *(getattr(layer.neuron, name) for name in layer.neuron.arrays())]
        table.add_row(
            str(index), _kind(main, layer.current_pool), f"{_shape(main.in_shape)} → {_shape(reached)}",
            _takes(index, [(index - 1, layer.delays), *((one.source, one.delays) for one in layer.branches)]),
            _neuron(layer.neuron),
            str(count + sum(np.size(one) for one in vectors if one is not None)),
            f"{count} of {layer.weight_bits} bits{_exponent(layer)}, |w| ≤ "
            f"{max(float(np.abs(one).max()) for _, one, _ in sets):.4g}",
            str(sum(_operations(values, synapses) for _, values, synapses in sets)),
            f"{count * layer.weight_bits / 1000:.1f}",
        )
    return table


def _integer_layers(program: Program) -> Table:
    table = Table(*HEAD, "membrane bits", "lanes", title=f"digest {program.digest()[:16]}…")
    for index, core in enumerate(program.cores):
        layer, plan, memory = core.layer, core.plan, core.memory
        sets, neuron = layer.synapses(index), layer.neuron
        count = sum(one.weights.size for one in sets)
        vectors = [getattr(neuron, name) for name in neuron.arrays()]
        table.add_row(
            layer.name, _kind(layer.connectivity, layer.current_pool),
            f"{_shape(layer.in_shape)} → {_shape(layer.out_shape)}",
            _takes(index, [(one.source, one.delays) for one in sets]),
            _neuron(neuron),
            str(count + sum(one.size for one in vectors if one is not None)),
            f"{count} of {layer.weight_bits} bits{_exponent(layer)}, step {layer.scale:.4g}",
            str(sum(_operations(one.weights, one.connectivity) for one in sets)),
            f"{memory.depth * memory.stored_bits / 1000:.1f}{_of_delays(core)}",
            f"{plan.membrane_bits}" + f", current {plan.current_bits}" * neuron.lasts
            + f", rise {plan.current_bits}" * neuron.adapts,
            f"{plan.lanes}" + (f" × {plan.bank_count} banks" if plan.bank_count > 1 else ""),
        )
    return table


def _exponent(layer: FloatLayer | Layer) -> str:
    return f" × 2^{layer.weight_exponent}" if layer.weight_exponent else ""


def _operations(weight: np.ndarray, synapses: Dense | Conv2d) -> int:
    """Count the weights that are added if every input spikes once; positions at the border count like inner ones."""
    positions = size_of(synapses.out_shape) // synapses.channels
    return int(np.size(weight)) * positions


def _kind(synapses: Dense | Conv2d, largest: Window | None) -> str:
    pool = ""
    if synapses.pool_size > 1:
        pool = f", pool {synapses.pool if isinstance(synapses.pool, int) else _shape(synapses.pool)}"
    if isinstance(synapses, Dense):
        return f"dense{pool}"
    kind, more = "conv", (0, 0)
    if isinstance(synapses, ConvTranspose2d):
        kind, more = "transposed conv", synapses.output_padding
    parts = [f"{kind} {synapses.kernel[0]}×{synapses.kernel[1]}"]
    parts += [f"stride {_shape(synapses.stride)}"] * (synapses.stride != (1, 1))
    parts += [f"padding {_shape(synapses.padding)}"] * (synapses.padding != (0, 0))
    parts += [f"output padding {_shape(more)}"] * (more != (0, 0))
    parts += [f"dilation {_shape(synapses.dilation)}"] * (synapses.dilation != (1, 1))
    parts += [f"groups {synapses.groups}"] * (synapses.groups > 1)
    if largest is not None:
        parts.append(f"largest of {_shape(largest.kernel)}")
        parts += [f"every {_shape(largest.stride)}"] * (largest.stride != largest.kernel)
    return ", ".join(parts) + pool


def _takes(index: int, sources: list[tuple[int, np.ndarray | None]]) -> str:
    return ", ".join(("input" if one == INPUT else "itself" if one == index else f"layer {one}") + _late(delays)
                     for one, delays in sources)


def _late(delays: np.ndarray | None) -> str:
    if delays is None or not np.any(delays):
        return ""
    low, high = int(np.min(delays)), int(np.max(delays))
    return f" {high} steps late" if low == high else f" {low}…{high} steps late"


def _of_delays(core: CoreSpec) -> str:
    """The memory of delay lines, in kbit, in words."""
    memories = [memory for one in core.inputs if one.delaying for memory in one.delaying.memories("")]
    kbit = sum(memory.depth * memory.used_bits for memory in memories) / 1000
    return f", delays {kbit:.1f}" if memories else ""


def _neuron(neuron: FloatNeuron | Neuron) -> str:
    theta, parts = neuron.theta, ["IF" if np.min(neuron.leak) == 1 else f"leak {_span(neuron.leak)}"]
    if neuron.current_leak is not None:
        parts.append(f"currents leak {_span(neuron.current_leak)}" + ", a step late" * neuron.current_delay
                     + ", with the bias" * neuron.current_bias)
    parts += ["rounds toward 0"] * neuron.leak_toward_zero
    if theta is None:
        return ", ".join((*parts, "no threshold"))
    sign = ">" if isinstance(neuron, FloatNeuron) and neuron.strict else "≥"
    levels = f", {neuron.levels} levels" if neuron.levels > 1 else ""
    parts.append(f"fires at {sign} {_span(theta)}{levels}")
    if neuron.rise_leak is not None and neuron.theta_rise is not None:
        parts.append(f"thresholds rise by {_span(neuron.theta_rise)}, which leaks {_span(neuron.rise_leak)}"
                     + ", and which the reset takes" * neuron.reset_rise)
    parts.append("fires once" if neuron.single_spike else f"reset {neuron.reset}" + (" delayed" * neuron.reset_delay))
    parts += [f"{name.replace('_', ' ')} {value:.4g}" for name in ("v_min", "v_max")
              if (value := getattr(neuron, name)) is not None]
    return ", ".join(parts)


def _span(values: float | np.ndarray) -> str:
    """The least and the largest of some numbers."""
    low, high = float(np.min(values)), float(np.max(values))
    return f"{low:.4g}" + (f"…{high:.4g}" if high > low else "")


def _small(value: np.ndarray | str | None, shape: Shape) -> str:
    """Format a few numbers as they are, and many by their shape."""
    if isinstance(value, np.ndarray) and value.size <= 3:
        return "·".join(f"{one:g}" for one in value.ravel())
    return _shape(shape)


def _shape(shape: Shape) -> str:
    return "×".join(map(str, shape)) or "1"
