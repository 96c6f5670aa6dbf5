# SPDX-License-Identifier: MIT
"""firstspike estimate FOLDER --data DATA"""

import numpy as np
from rich.console import Console

from .build_folder import read_build
from .options import Build, Data, Limit, Split, load_inputs
from .progress import shown_progress
from .verb_simulate import distribution


def estimate(build: Build, data: Data, split: Split = "test", limit: Limit = None) -> None:
    """Estimate accuracy, latency and interval by golden and timing model, without simulating the hardware."""
    from firstspike_sim.models.prediction import predict_inputs

    from .api import intervals, latencies
    from .quantising import labels_of_results

    program, _ = read_build(build)
    inputs, labels = load_inputs(data, split, limit)
    console = Console(highlight=False)
    with shown_progress(console, f"{len(inputs)} inferences in the models") as progress:
        prediction = predict_inputs(program, inputs, progress=progress)
    if labels is not None:
        right = prediction.golden.classes == labels_of_results(labels, prediction.golden.classes)
        console.print(f"accuracy of the integer network: {np.mean(right):.2%}")
    console.print(f"decision step: {distribution(prediction.golden.steps)}")
    console.print(f"interval, cycles: {distribution(intervals(prediction.stimulus, prediction.trace))}")
    console.print(f"latency in the stream, cycles: {distribution(latencies(prediction.stimulus, prediction.trace))}")
