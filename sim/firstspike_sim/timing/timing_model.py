# SPDX-License-Identifier: MIT
"""Timing model: the cycle of every transfer, decision and acceptance, from configuration and spikes alone.

Each hardware unit has a twin here, in a file of the same name, which does what the docstring of the unit specifies; the
quotations in docstrings of twins are from there. `cycle_loop` runs the twins clock cycle by clock cycle on tokens
instead of signals: which rows a core visits, which groups an extractor holds, how many results wait. The model reads no
signal of the hardware and has no fitted constant. The values (which neuron fires when, which step decides) come from
the golden model.
"""

import numpy as np
from firstspike_arch.backend import MemoryTiming, Stimulus, Trace
from firstspike_arch.external import ANSWER_CYCLES
from firstspike_arch.program import Program

from . import configuration
from .busy_log import busy_windows, new_busy_log
from .core import ROW
from .cycle_loop import OFFER, Units, run
from .edge_log import EdgeLog, new_edge_log
from .emitter import new_emitters
from .extractor import new_extractors
from .memory import new_memory
from .ports import Source, new_ports, new_sink, new_source
from .sequencer import new_sequencers
from .spike_lists import SpikeLists, codes_of_tokens, tokens_of_codes
from .stream_buffer import new_stream_buffers

__all__ = ["predict_cycles"]


def predict_cycles(
    program: Program, stimulus: Stimulus, lists: SpikeLists, *, classes: np.ndarray, steps: np.ndarray,
    decided_by: np.ndarray, scores: np.ndarray,
) -> Trace:
    """Predict the trace of a stimulus from the spikes and results of the golden model.

    Parameters
    ----------
    lists : SpikeLists
        Spikes of complete inferences, without early exit.
    classes, steps, decided_by : int64[R]
    scores : int64[R, C]
        Results of the golden model, copied to the trace; ``steps`` also gives the step that decides.

    Raises
    ------
    ValueError
        The external memory would be taken for dead, or the stimulus is silent within an inference for so long that the
        guard would end it: results would then be other than those given.
    RuntimeError
        The model does not end within a bound on its cycles, which is a bug in the model.
    """
    network = program.network
    wiring = configuration.wiring_of(program)
    _check_silences(program, stimulus)
    _check_memory(program, stimulus.memory)
    # Beats need no contents, because the spikes are known.
    words = np.zeros(len(stimulus.words), dtype=np.int64) if wiring.image else codes_of_tokens(
        stimulus.words, program.edge_layouts[0])
    source, sink = new_source(words, stimulus.gaps), new_sink(stimulus.results, stimulus.sink_stalls)
    sent = lists.offsets[:, -1] - lists.offsets[:, 0] + (lists.offsets.shape[1] - 1)
    if not wiring.image:
        sent[0] = len(words)
    sent = sent[wiring.sender]
    log = new_edge_log(sent)
    tokens = sent + len(lists.first_step)
    work = int((tokens * configuration.longest_tokens(program)).sum())
    units = _units(program, wiring, source, sent, stimulus.memory)
    work += int(units.mergers.state["sweep"].sum())
    lines = [one.delaying for core in program.cores for one in core.inputs]
    work += sum(one.clear_cycles * (1 + stimulus.inferences) + one.words * count
                for one, count in zip(lines, tokens.tolist(), strict=True) if one is not None)
    fetchings = [one.fetching for core in program.cores for one in core.inputs]
    work += sum((one.beats * (1 + int(stimulus.memory.gaps.max())) + stimulus.memory.longest + 8) * count
                for one, count in zip(fetchings, tokens.tolist(), strict=True) if one is not None)
    limit = 10_000 + 4 * (len(words) + int(source.gaps.sum() + sink.stalls.sum()) + work)
    # A window of a network with a last step is longer than any inference.
    window = network.steps_max if network.endless else 1 << 62
    busy = new_busy_log(len(program.cores))
    decisions = np.asarray(steps, dtype=np.int64).reshape(stimulus.inferences, -1)
    if not run(wiring, units, source, sink, lists, decisions, window, log, busy, limit):
        raise RuntimeError(f"the timing model found no end within {limit} cycles")
    edge_tokens, edge_cycles = _transfers(program, log)
    return Trace(
        accepted=source.accepted, classes=classes, steps=steps, decided_by=decided_by, scores=scores,
        decided=sink.decided, taken=sink.taken, edge_tokens=edge_tokens, edge_cycles=edge_cycles,
        busy=units.sequencers.state["busy"].copy(), busy_windows=busy_windows(busy, units.sequencers.state["busy"]),
        window_cycles=int(busy.span[0]),
    )


def _check_silences(program: Program, stimulus: Stimulus) -> None:
    timeout = 0 if program.config.port == "image" else program.config.timeout
    if timeout and stimulus.gaps is not None:
        inside = np.array(stimulus.gaps)
        inside[stimulus.starts[:-1]] = 0
        word = int(inside.argmax())
        if inside[word] >= timeout:
            inference = int(np.searchsorted(stimulus.starts, word, side="right")) - 1
            raise ValueError(
                f"gaps within an inference must be shorter than the timeout of {timeout} cycles, after which the guard "
                f"ends it, not {inside[word]} cycles before word {word - stimulus.starts[inference]} of inference "
                f"{inference}")


def _check_memory(program: Program, memory: MemoryTiming) -> None:
    # An answer waits for those to all other requests, too.
    longest = memory.longest + sum(
        core.fetching.buffers * (core.fetching.beats * (1 + int(memory.gaps.max())) + memory.longest)
        for core in program.external if core.fetching is not None)
    if program.external and longest >= ANSWER_CYCLES:
        raise ValueError(f"the external memory must answer within {ANSWER_CYCLES} cycles, after which it is taken for "
                         f"dead, and not {longest}, with latencies and stalls of up to {memory.longest} cycles")


def _units(
    program: Program, wiring: configuration.Wiring, source: Source, sent: np.ndarray, memory: MemoryTiming,
) -> Units:
    """All units after reset; ``sent``: tokens of each edge."""
    settings = configuration.sequencer_settings(program.cores)
    cores = len(settings.cores)
    return Units(
        settings=settings, sequencers=new_sequencers(settings), cores=configuration.cores_of(program),
        issues=np.zeros(cores, ROW), queues=configuration.queues_of(program), extractors=new_extractors(cores),
        emitters=new_emitters(configuration.second_shifts(program)), offers=np.zeros(cores + 1, OFFER),
        buffers=new_stream_buffers(int(wiring.buffers.max()) + 1), mergers=configuration.mergers_of(program),
        lines=configuration.lines_of(program, sent), fetchers=configuration.fetchers_of(program),
        memory=new_memory(sum(core.plan.options.external for core in program.cores), memory),
        readouts=configuration.readout_of(program),
        latency_encoders=configuration.latency_encoder_of(program),
        pixel_encoders=configuration.pixel_encoder_of(program), packers=configuration.packer_of(program),
        both_ports=new_ports(source),
    )


def _transfers(program: Program, log: EdgeLog) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """Tokens of each edge as the hardware sends them, one event each, and the cycles of their transfers."""
    spans = [slice(start, start + used) for start, used in zip(log.start[:-1], log.used, strict=True)]
    tokens, cycles = zip(*(
        layout.one_by_one(tokens_of_codes(log.tokens[span], layout), log.cycles[span])
        for span, layout in zip(spans, program.edge_layouts, strict=True)), strict=True)
    return tokens, cycles
