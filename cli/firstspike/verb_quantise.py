# SPDX-License-Identifier: MIT
"""firstspike quantise FILE --data DATA"""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from .options import (
    SAMPLES_OF_BITS,
    CurrentDelay,
    CurrentRule,
    Data,
    Gain,
    InMax,
    InMin,
    InputShape,
    LeakRule,
    Levels,
    NetworkFile,
    Percentile,
    Readout,
    Reset,
    ResetDelay,
    Scales,
    Split,
    Start,
    Steps,
    StepTime,
    Strict,
    VMin,
    WeightScale,
    load_file,
    load_for,
    scale_options,
)
from .progress import shown_progress


def quantise(
    network: NetworkFile, data: Data, split: Split = "validation",
    limit: Annotated[int, typer.Option(min=1, help="Use only the first so many samples.")] = SAMPLES_OF_BITS,
    scales: Scales = "layer", percentile: Percentile = None, weight_scale: WeightScale = None,
    accuracy_budget: Annotated[float | None, typer.Option(
        min=0, help="Also choose bits layer by layer that cost at most so many percentage points.")] = None,
    steps: Steps = None, reset: Reset = None, strict: Strict = None, readout: Readout = None, dt: StepTime = None,
    leak_rule: LeakRule = None, gain: Gain = None, reset_delay: ResetDelay = None,
    current_rule: CurrentRule = None, current_delay: CurrentDelay = None, levels: Levels = None, v_min: VMin = None,
    start: Start = None, input_shape: InputShape = None, in_min: InMin = None, in_max: InMax = None,
) -> None:
    """Measure the accuracy of the integer network against bits a weight, on sample data."""
    from . import api
    from .quantising import BITS

    real = load_file(network, steps=steps, reset=reset, strict=strict, readout=readout, dt=dt, leak_rule=leak_rule,
                     gain=gain, reset_delay=reset_delay, current_rule=current_rule, current_delay=current_delay,
                     levels=levels, v_min=v_min, start=start,
                     input_shape=input_shape)
    inputs, labels = load_for(real, data, split, limit)
    console = Console()
    calibration = api.calibrate(real, inputs, labels)
    options = {**scale_options(scales, percentile, weight_scale), "powers": calibration.powers, "in_min": in_min,
               "in_max": in_max}
    what = "right" if labels is not None else "as in float"
    table = Table("bits a weight", what, "as in float", "weights clipped", "weights, kbit",
                  title=f"{len(inputs)} samples; in float {calibration.score(calibration.classes):.2f} % {what}")
    with shown_progress(console, "quantising") as progress:
        found = []
        for bits in BITS:
            found.append(api.quantise_at(calibration, bits, **options))
            progress(len(found), len(BITS))
        chosen = None if accuracy_budget is None else api.choose_bits(calibration, accuracy_budget, **options)
    if chosen and chosen.bits not in [one.bits for one in found]:
        found.append(chosen)
    for one in found:
        bits = str(one.bits[0]) if len(set(one.bits)) == 1 else ",".join(map(str, one.bits))
        table.add_row(bits, f"{one.score:.2f} %", f"{one.agreement:.2f} %", str(one.saturated),
                      f"{one.weight_bits / 1000:.1f}")
    console.print(table)
    if chosen:
        console.print(f"within {accuracy_budget} points: --weight-bits {','.join(map(str, chosen.bits))}",
                      highlight=False)
