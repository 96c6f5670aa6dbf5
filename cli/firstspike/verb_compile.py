# SPDX-License-Identifier: MIT
"""firstspike compile FILE --lanes N -o FOLDER"""

from pathlib import Path
from typing import Annotated

import typer
from firstspike_arch.fixed import LEAK_SHIFT_MAX
from firstspike_arch.shown import shown
from rich.console import Console

from .options import (
    SAMPLES_OF_BITS,
    CurrentDelay,
    CurrentRule,
    Gain,
    InMax,
    InMin,
    InputShape,
    LeakRule,
    Levels,
    Name,
    NetworkFile,
    Percentile,
    Readout,
    Reset,
    ResetDelay,
    Scales,
    Start,
    Steps,
    StepTime,
    Strict,
    TrialsFile,
    VMin,
    WeightScale,
    load_file,
    load_for,
    scale_options,
)
from .progress import shown_progress, shown_stage


def compile_(
    network: NetworkFile,
    output: Annotated[Path, typer.Option("-o", "--output", help="Build folder.")],
    lanes: Annotated[str | None, typer.Option(help="Lanes of every layer, or of each: 128,10.")] = None,
    lane_budget: Annotated[str | None, typer.Option(
        help="Processing elements of all layers together, divided among them; default: 256. auto: as many as the LUTs "
        "of --device allow.")] = None,
    device: Annotated[str | None, typer.Option(
        help="Choose lanes and banks that fit this device, by the cycles of --data: ecp5-85, artix-35t, …")] = None,
    data: Annotated[str, typer.Option(
        help="Samples for --device and --weight-bits auto: digits, mnist, fashion-mnist, a .npy or a .npz file.")] = (
        "digits"),
    weight_bits: Annotated[str | None, typer.Option(
        help="Bits a weight, 2…8, for every layer or for each: 6,5,8; default: as trained. auto: the fewest within "
        "--accuracy-budget on --data.")] = None,
    accuracy_budget: Annotated[float, typer.Option(
        min=0, help="Percentage points of accuracy that --weight-bits auto may cost.")] = 0.5,
    scales: Scales = "layer", percentile: Percentile = None, weight_scale: WeightScale = None,
    steps: Steps = None, reset: Reset = None, strict: Strict = None, readout: Readout = None, dt: StepTime = None,
    leak_rule: LeakRule = None, gain: Gain = None, reset_delay: ResetDelay = None,
    current_rule: CurrentRule = None, current_delay: CurrentDelay = None, levels: Levels = None, v_min: VMin = None,
    start: Start = None, input_shape: InputShape = None, in_min: InMin = None, in_max: InMax = None,
    leak_shift_max: Annotated[int | None, typer.Option(
        min=0, max=LEAK_SHIFT_MAX, help="Largest shift of a leak num / 2^shift; a smaller one may save passes over all "
        "rows in every step. Default: what the slowest leak needs.")] = None,
    endless: Annotated[bool | None, typer.Option(
        "--endless", help="Inferences need not end: a result every so many steps as an inference has, and membranes go "
        "on.")] = None,
    leak_rounding: Annotated[str | None, typer.Option(
        help="How membranes round as they leak: nearest or floor. Default: floor for networks trained by firstspike, "
        "nearest for others where that is better.")] = None,
    port: Annotated[str, typer.Option(
        help="Input: events (a token stream) or image (64-bit beats of eight pixels).")] = "events",
    early_exit: Annotated[bool, typer.Option(help="Decide at the first step that settles the class.")] = False,
    timeout: Annotated[int, typer.Option(
        min=0, help="Cycles of silence within an inference after which it is ended; 0: never. For --port events.")] = 0,
    winner: Annotated[str, typer.Option(help="Comparison in the read-out: tree is fast, scan is small.")] = "tree",
    kernel_parallel: Annotated[bool | None, typer.Option(
        help="Convolutions update all positions that an event reaches at once, each in a bank of lanes of its own. "
        "Default: where it pays; with --lanes, nowhere.",
    )] = None,
    bit_serial: Annotated[bool, typer.Option(
        help="Add an input of numbers bit by bit, without multipliers.")] = False,
    multiplies_leaks: Annotated[bool | None, typer.Option(
        help="Leaks that take several passes over all rows in every step are multiplications in one, by a multiplier a "
        "lane. Default: where it pays with --device; else nowhere.")] = None,
    register_rows: Annotated[int, typer.Option(
        help="Largest number of rows whose membranes are kept in registers instead of memory; 2 suits a device without "
        "LUT RAM.",
    )] = 8,
    single_port: Annotated[str | None, typer.Option(
        help="Layers, such as 0 or 0,1, whose weights a host loads into RAM with one port, such as the UP5K's SPRAM.",
    )] = None,
    events_per_cycle: Annotated[str | None, typer.Option(
        help="2: dense layers that take a vector take two events a cycle, through a second port of their weights; or 1 "
        "or 2 for each layer. Default: 1; with --device, where it pays.")] = None,
    external: Annotated[str | None, typer.Option(
        help="Layers, such as 4 or 4,5, whose weights lie in an external memory (docs/external_memory.md). auto: the "
        "largest, until the rest fits --device.")] = None,
    beat_bits: Annotated[int, typer.Option(
        help="Width of the external memory's responses: 32, 64 or 128.")] = 64,
    memory_bytes: Annotated[int | None, typer.Option(
        min=1, help="Octets of the external memory: weights that need more are refused.")] = None,
    read_back: Annotated[bool, typer.Option(
        help="Let a host read weights and biases back over the host link.")] = False,
    protect: Annotated[str, typer.Option(
        help="parity: weights, biases and membranes in memories carry parity, and what does not fit is counted as it "
        "is read (docs/soft_errors.md). Or none.")] = "none",
    from_trial: Annotated[int | None, typer.Option(
        min=0, help="Compile as a trial of 'firstspike explore' did, by its number.")] = None,
    trials: TrialsFile = Path("explore.journal"),
    name: Name = None,
    ordered: Annotated[bool, typer.Option(
        help="Drop, and count, events that come twice in a step or not in the order of their neurons. For --port "
        "events.")] = False,
) -> None:
    """Compile a trained network to Verilog, memory images and a manifest."""
    from firstspike_arch.memory_image import require_room
    from firstspike_compiler.passes.map_layers import LANE_BUDGET

    from . import api
    from .mapping import SAMPLES

    if from_trial is not None:
        chosen_there = {"--lanes": lanes, "--lane-budget": lane_budget, "--device": device,
                        "--weight-bits": weight_bits, "--early-exit": early_exit or None,
                        "--kernel-parallel": kernel_parallel}
        if clash := [option for option, value in chosen_there.items() if value is not None]:
            raise ValueError(f"--from-trial must be given without {clash[0]}: the trial has chosen it")
        from .exploring import Trials

        kept = Trials(trials, network)
        one = kept.find(from_trial)
        device, data, lane_budget, early_exit = kept.device, kept.data, str(one.lane_budget), one.early_exit
        weight_bits = ",".join(map(str, one.weight_bits))
    given = _numbers("--lanes", lanes)
    per_cycle = _numbers("--events-per-cycle", events_per_cycle) or []
    outside = "auto" if external == "auto" else _numbers("--external", external) or ()
    if outside == "auto" and device is None:
        raise ValueError("--external auto must be given with --device, whose block RAM it spares")
    if memory_bytes is not None and not outside:
        raise ValueError("--memory-bytes must be given with --external, whose weights it is for")
    options = {"port": port, "external": outside, "beat_bits": beat_bits, "endless": endless,
               "early_exit": early_exit, "winner": winner, "timeout": timeout,
               "register_rows": register_rows,
               "single_port": _numbers("--single-port", single_port) or (), "read_back": read_back, "ordered": ordered,
               "protect": protect,
               "events_per_cycle": per_cycle[0] if len(per_cycle) == 1 else per_cycle or None,
               "bit_serial": bit_serial, "multiplies_leaks": multiplies_leaks, "in_min": in_min, "in_max": in_max,
               "leak_shift_max": leak_shift_max, "leak_rounding": leak_rounding,
               **scale_options(scales, percentile, weight_scale)}
    console = Console()
    real = load_file(network, steps=steps, reset=reset, strict=strict, readout=readout, dt=dt, leak_rule=leak_rule,
                     gain=gain, reset_delay=reset_delay, current_rule=current_rule, current_delay=current_delay,
                     levels=levels, v_min=v_min, start=start,
                     input_shape=input_shape)
    if weight_bits == "auto":
        inputs, labels = load_for(real, data, "validation", SAMPLES_OF_BITS)
        with shown_stage(console) as stage:
            stage(f"choosing bits on {len(inputs)} samples")
            calibration = api.calibrate(real, inputs, labels)
            options |= {"powers": calibration.powers}
            chosen = api.choose_bits(calibration, accuracy_budget, in_min=in_min, in_max=in_max,
                                     powers=calibration.powers, leak_shift_max=leak_shift_max,
                                     leak_rounding=leak_rounding,
                                     **scale_options(scales, percentile, weight_scale))
        real, options["weight_bits"] = calibration.network, list(chosen.bits)
        console.print(f"weights of {', '.join(map(str, chosen.bits))} bits: {chosen.score:.2f} % on {len(inputs)} "
                      f"samples, in float {calibration.score(calibration.classes):.2f} %", highlight=False)
    else:
        bits = _numbers("--weight-bits", weight_bits)
        options["weight_bits"] = bits[0] if bits and len(bits) == 1 else bits
    if device is None:
        budget = _elements(lane_budget, device)
        with shown_stage(console, "compiling"):
            compilation = api.compile(
                real, lanes=given[0] if given and len(given) == 1 else given, lane_budget=budget,
                kernel_parallel=kernel_parallel, **options)
    else:
        if given or kernel_parallel is not None:
            raise ValueError("--device must be given without --lanes and --kernel-parallel: it chooses them")
        inputs, _ = load_for(real, data, "validation", SAMPLES)
        with shown_progress(console, f"mapping to {device}") as progress:
            mapping = api.map_to_device(
                real, inputs, device=device, progress=progress, **options,
                lane_budget=LANE_BUDGET if lane_budget is None else _elements(lane_budget, device))
        compilation = mapping.compilation
        console.print(f"{device}: {mapping.elements} processing elements, {mapping.blocks} block RAMs, about "
                      f"{mapping.luts} LUTs{f' and {mapping.multipliers} multipliers' * bool(mapping.multipliers)}, an "
                      f"inference every {mapping.interval:.0f} cycles; limited by {mapping.limit}", highlight=False)
        if compilation.program.external:
            names = ", ".join(core.layer.name for core in compilation.program.external)
            console.print(f"external memory: weights of {names}, {compilation.program.external_octets} octets; an "
                          f"inference reads {mapping.octets:.0f}", highlight=False, soft_wrap=True)
    if device is None and not given:
        console.print("mapped without samples or a device: --device NAME --data DATA measures the cycles of a mapping, "
                      "and keeps within a device", highlight=False, soft_wrap=True)
    if memory_bytes is not None:
        require_room(compilation.program.external_segments, memory_bytes, "--memory-bytes")
    with shown_stage(console, "writing Verilog and memory images"):
        api.export(compilation, output, **({"name": name} if name else {}))
    console.print(compilation.report(), markup=False, highlight=False, soft_wrap=True)
    console.print(f"written to {output}")


def _elements(lane_budget: str | None, device: str | None) -> int | None:
    """Read --lane-budget; None: it was not given, or is "auto"."""
    if lane_budget == "auto":
        if device is None:
            raise ValueError("--lane-budget auto must be given with --device, whose LUTs it uses")
        return None
    numbers = _numbers("--lane-budget", lane_budget)
    if numbers is not None and len(numbers) != 1:
        raise ValueError(f"--lane-budget must be a number or auto, not {shown(lane_budget)}")
    return numbers[0] if numbers else None


def _numbers(name: str, text: str | None) -> list[int] | None:
    try:
        return None if text is None else [int(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"{name} must be a number or a list of numbers, one a layer, not {shown(text)}") from None
