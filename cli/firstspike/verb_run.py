# SPDX-License-Identifier: MIT
"""firstspike run FOLDER --port PORT --data DATA"""

from typing import Annotated

import numpy as np
import typer
from firstspike_arch.backend import DecidedBy
from rich.console import Console
from rich.progress import Progress

from .build_folder import read_build
from .options import Baud, Build, Limit, Port, Split, Timeout, load_for


def run(
    build: Build, port: Port,
    data: Annotated[str, typer.Option(help="digits, mnist, fashion-mnist, a .npy file, or an image file.")],
    index: Annotated[int | None, typer.Option(min=0, help="Run only this input, and show its scores.")] = None,
    split: Split = "test", limit: Limit = None, baud: Baud = 1_000_000, timeout: Timeout = 1.0,
    verify_memories: Annotated[bool, typer.Option(
        "--verify-memories", help="Read weights and biases back first and compare them; the build needs "
        "--read-back.")] = False,
) -> None:
    """Run inputs on a board, or a simulated one, and compare with the golden model."""
    from firstspike_sim.models.prediction import predict_inputs

    from . import api
    from .quantising import labels_of_results

    program, _ = read_build(build)
    inputs, labels = load_for(
        program.network, data, split, limit if index is None else min(index + 1, limit or index + 1))
    if index is not None:
        if index >= len(inputs):
            raise ValueError(f"--index must be below {len(inputs)}, the number of inputs, not {index}")
        inputs, labels = inputs[index:index + 1], None if labels is None else labels[index:index + 1]
    console = Console(highlight=False)
    wanted = predict_inputs(program, inputs)
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("connecting", total=None)
        backend = api.connect(program, port, baud=baud, timeout=timeout, progress=lambda done, total: bar.update(
            task, description="requests", completed=done, total=total))
        try:
            words = backend.verify_memories(program) if verify_memories else 0
            trace = backend.run(wanted.stimulus)
        finally:
            backend.link.close()
    if verify_memories:
        console.print(f"{words} words of weights and biases equal the images")
    windows = len(trace.classes) // len(inputs)
    if len(inputs) == 1:
        for result in range(windows):
            scores = ", ".join(str(score) for score in trace.scores[result])
            console.print(
                f"{f'window {result}: ' * program.network.endless}class {trace.classes[result]} at step "
                f"{trace.steps[result]}, {trace.decided[result] + 1} cycles after the first word, "
                f"{DecidedBy(int(trace.decided_by[result])).name.lower().replace('_', ' ')}; scores {scores}",
                soft_wrap=True)
    if labels is not None:
        right = trace.classes == labels_of_results(labels, trace.classes)
        console.print(f"accuracy on the device: {np.mean(right):.2%}" if len(labels) > 1 else f"label {labels[0]}")
    counters = trace.counters
    console.print(f"{len(inputs)} inferences, {backend.link.resent} requests sent again; the device counts "
                  f"{counters['corrupt']} corrupt frames, {counters['overflow']} dropped for want of room",
                  soft_wrap=True)
    equal = [np.array_equal(getattr(trace, name), getattr(wanted.trace, name))
             for name in ("classes", "steps", "decided_by", "scores")]
    if not all(equal):
        device, model = (list(zip(one.classes.tolist(), one.steps.tolist(), one.decided_by.tolist(),
                                  one.scores.tolist(), strict=True)) for one in (trace, wanted.trace))
        first = next(index for index, pair in enumerate(zip(device, model, strict=True)) if pair[0] != pair[1])
        place = f"{first // windows}{f', window {first % windows},' * program.network.endless}"
        raise ValueError(f"device and golden model must agree, but at input {place} the device says "
                         f"{_outcome(*device[first])}, the model {_outcome(*model[first])}")
    console.print("classes, steps and scores equal the golden model's")


def _outcome(decided: int, step: int, decided_by: int, scores: list[int]) -> str:
    return (f"class {decided} at step {step} by {DecidedBy(decided_by).name.lower().replace('_', ' ')} with scores "
            f"{scores}")
