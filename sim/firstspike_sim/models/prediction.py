# SPDX-License-Identifier: MIT
"""Golden and timing model together: what every other backend must equal."""

from dataclasses import dataclass

import numpy as np
from firstspike_arch.backend import Stimulus, Trace
from firstspike_arch.program import Program

from ..inputs import check_inputs
from ..stimulus import make_stimulus, random_waits
from ..timing.spike_lists import spike_lists
from ..timing.timing_model import predict_cycles
from .golden import GoldenModel, GoldenResult, Progress, unseen

__all__ = ["Prediction", "predict_inputs", "predict_stimulus"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Prediction:
    """Values, stimulus, and the trace they must leave."""

    golden: GoldenResult
    stimulus: Stimulus
    trace: Trace


def predict_inputs(
    program: Program, inputs: np.ndarray, *, waits: int | None = None, golden: GoldenResult | None = None,
    progress: Progress = unseen, **options,
) -> Prediction:
    """Prediction for images or spike counts back to back.

    Parameters
    ----------
    waits : int or None
        Seed of `random_waits` on both sides; None: there are none but those in ``options``.
    golden : GoldenResult or None
        Result of the golden model for these inputs, if it has run: it is the same however the network is mapped.
    progress : callable
        Called as ``progress(done, total)``, counts of inferences that the golden model has run.
    options
        Those of `make_stimulus`.
    """
    inputs = check_inputs(program.network, inputs, some=True)
    golden = GoldenModel(program.network).run(inputs, progress=progress) if golden is None else golden
    stimulus = make_stimulus(program, inputs, spikes=golden.spikes[0], **options)
    return _predict(program, golden, stimulus if waits is None else random_waits(stimulus, waits))


def predict_stimulus(program: Program, inputs: np.ndarray, stimulus: Stimulus) -> Prediction:
    """Prediction for the inputs from which ``stimulus`` was made."""
    return _predict(program, GoldenModel(program.network).run(inputs), stimulus)


def _predict(program: Program, golden: GoldenResult, stimulus: Stimulus) -> Prediction:
    lists = spike_lists(program, golden.spikes)
    trace = predict_cycles(
        program, stimulus, lists, classes=golden.classes, steps=golden.steps, decided_by=golden.decided_by,
        scores=golden.scores,
    )
    return Prediction(golden=golden, stimulus=stimulus, trace=trace)
