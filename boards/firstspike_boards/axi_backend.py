# SPDX-License-Identifier: MIT
"""Backend that runs programs on a device on AXI, by the driver that boards have."""

import numpy as np
from firstspike_arch.backend import Stimulus, Trace
from firstspike_arch.program import Program
from firstspike_hw.axi.driver_facts import driver_facts, driver_memory, driver_words
from firstspike_run import Accelerator, Export

__all__ = ["AxiBackend"]

NOT_OBSERVED = -1


class AxiBackend:
    """Backend for an accelerator that `firstspike_run` drives.

    Parameters
    ----------
    accelerator : Accelerator
    """

    name = "axi"

    def __init__(self, accelerator: Accelerator):
        self._accelerator = accelerator

    def load(self, program: Program) -> None:
        """Make sure that the device holds the program: write its memories if they hold another one.

        Raises
        ------
        WrongDeviceError
            The device was built for another architecture.
        DeviceError
            It does not take the weights.
        """
        self._accelerator.load(Export(driver_facts(program), driver_words(program), driver_memory(program)))

    def run(self, stimulus: Stimulus) -> Trace:
        """Run the inferences of a stimulus, as many in a packet as a transfer takes.

        Of the trace, results and counters are observed; the cycles of words and results are −1, and there are no
        spikes.

        Raises
        ------
        RuntimeError
            No program is loaded.
        ValueError
            The stimulus has waits, or an inference does not fit a transfer.
        DeviceError
            A transfer ended in an error or not at all, or the device had to repair a word.
        """
        if stimulus.gaps is not None or stimulus.sink_stalls is not None:
            raise ValueError("gaps and sink_stalls must be None on AXI, where a DMA engine has waits of its own")
        answers = self._accelerator.run(np.asarray(stimulus.words).astype(np.uint64), stimulus.starts)
        unseen = np.full(len(answers.classes), NOT_OBSERVED)
        return Trace(
            accepted=np.full(len(stimulus.words), NOT_OBSERVED), classes=answers.classes, steps=answers.steps,
            decided_by=answers.decided_by, scores=answers.scores, decided=unseen, taken=unseen, edge_tokens=(),
            edge_cycles=(), counters=self._accelerator.counters())
