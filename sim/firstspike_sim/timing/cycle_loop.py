# SPDX-License-Identifier: MIT
"""The timing model's inner loop, which runs all twins for one clock cycle after another.

The twins are connected by wires only. In each cycle, units first compute what they offer from their old state; a unit
takes its new state as soon as no other unit needs the old one. The input guard passes a well-formed stream in the same
cycle and has no twin.
"""

from typing import NamedTuple

import numba
import numpy as np

from . import (
    busy_log,
    core,
    delay_line,
    edge_log,
    emitter,
    extractor,
    latency_encoder,
    memory,
    pair_packer,
    pixel_encoder,
    pool_merger,
    ports,
    readout,
    sequencer,
    spike_queue,
    stream_buffer,
    weight_fetcher,
)
from .busy_log import BusyLog
from .compilation import FROM_PYTHON, sources, sources_digest, twin
from .configuration import Wiring
from .delay_line import Lines
from .edge_log import EdgeLog
from .memory import Memory
from .pool_merger import Mergers
from .ports import Sink, Source
from .sequencer import Sequencers, SequencerSettings
from .spike_lists import SpikeLists
from .spike_queue import SpikeQueues
from .weight_fetcher import Fetchers

__all__ = ["OFFER", "Units", "run"]

OFFER = np.dtype([("valid", np.bool_), ("room", np.bool_), ("token", np.int64)], align=True)
"""Wires from a sender to all its stream buffers, and whether all of them have room."""


class Units(NamedTuple):
    """All units.

    For each core: ``settings`` and ``sequencers``, ``cores``, ``issues`` (the wires between these two), ``queues`` and
    ``extractors``. For each sender (0: the input, i + 1: core i): ``emitters`` and ``offers``. For each edge:
    the first of ``buffers``, from which the core takes; on some edges, ``lines``, ``mergers`` and ``fetchers`` with
    one of the other buffers in front of each. ``memory``: the memory port, and the external memory. Arrays of length 1:
    ``readouts``, ``latency_encoders``, ``pixel_encoders``, ``packers``, ``both_ports``.
    """

    settings: SequencerSettings
    sequencers: Sequencers
    cores: np.ndarray
    issues: np.ndarray
    queues: SpikeQueues
    extractors: np.ndarray
    emitters: np.ndarray
    offers: np.ndarray
    buffers: np.ndarray
    mergers: Mergers
    lines: Lines
    fetchers: Fetchers
    memory: Memory
    readouts: np.ndarray
    latency_encoders: np.ndarray
    pixel_encoders: np.ndarray
    packers: np.ndarray
    both_ports: np.ndarray


@twin
def _find_room(wiring, units):  # pragma: no cover - compiled
    """Find the senders that can send: all buffers that take their tokens must have room."""
    for sender in range(len(units.offers)):
        units.offers[sender].room = True
    for edge in range(len(wiring.sender)):
        if not stream_buffer.source_ready(units.buffers[wiring.buffers[edge, 0]]):
            units.offers[wiring.sender[edge]].room = False


@twin
def _run_input(wiring, units, source, lists, cycle):  # pragma: no cover - compiled
    """Run the input port, and the encoder behind it if it takes images."""
    offer, port, behind, packer = units.offers[0], units.both_ports[0], units.emitters[0], units.packers[0]
    offered, packs, room = ports.is_offered(port, source, cycle), packer.second_shift > 0, offer.room
    if packs:
        offer.room = pair_packer.events_ready(packer, room)
    if not wiring.image:
        taken = offered and offer.room
        offer.valid = offered
        if offered:
            offer.token = source.words[port.word]
    else:
        offer.valid, offer.token = behind.valid, emitter.token(behind, lists.codes)
        if wiring.direct:
            encoder = units.pixel_encoders[0]
            taken = offered and pixel_encoder.beats_ready(encoder, behind, offer.room)
            pixel_encoder.step(encoder, behind, offer.room, taken, lists.offsets[0], lists.places, lists.first_step)
        else:
            encoder = units.latency_encoders[0]
            drop = units.readouts[0]
            taken = offered and latency_encoder.beats_ready(encoder)
            latency_encoder.step(encoder, behind, offer.room, taken, drop.drop_valid, drop.drop_inference,
                                 lists.offsets[0], lists.places, lists.first_step)
    if packs:
        valid, token = offer.valid, offer.token
        offer.room, offer.valid, offer.token = room, packer.valid, pair_packer.token(packer)
        pair_packer.step(packer, valid, token, room)
    ports.step_source(port, source, cycle, taken)


@twin
def _run_sender(units, index, lists):  # pragma: no cover - compiled
    """Run emitter and extractor of a core; return whether they take the word at the head of its spike queue."""
    offer, behind, queue = units.offers[index + 1], units.emitters[index + 1], units.queues.state[index]
    offer.valid, offer.token = behind.valid, emitter.token(behind, lists.codes)
    valid, before = spike_queue.words_valid(queue), units.extractors[index]
    taken = valid and extractor.words_ready(before, behind, offer.room)
    extractor.step(before, behind, offer.room, valid, units.queues.words[index, queue.head], lists.places)
    return taken


@twin
def _run_readout(units, sink, decision_steps, window, cycle):  # pragma: no cover - compiled
    """Run the read-out behind the last core; return whether it grants the row that asks."""
    before, behind, port = units.cores[-1], units.readouts[0], units.both_ports[0]
    taken = ports.takes_result(port, sink, cycle, behind.offered)
    ports.step_sink(port, sink, cycle, taken)
    settles, final = False, False
    if before.add.captures:
        number, step = before.add.step // window, before.add.step % window
        settles = step == decision_steps[before.add.inference, number]
        final = before.add.final or step == window - 1
    return readout.step(behind, cycle, before.add, final, settles, core.is_opening(before), core.coming(before), taken)


@twin
def _run_core(wiring, units, index, lists, granted, drop_valid, drop_inference):  # pragma: no cover - compiled
    """Run a core with its sequencer, spike queue, extractor and emitter."""
    stages, issue, queue = units.cores[index], units.issues[index], units.queues.state[index]
    if wiring.sends[index]:
        taken, captures = _run_sender(units, index, lists), stages.add.captures
        granted = granted and spike_queue.grant(queue, captures, core.coming(stages), taken)
        if captures:
            core.take_spikes(stages, lists.offsets[index + 1], lists.places, lists.first_step)
        spike_queue.step(queue, units.queues.words[index], captures, stages.word, taken)
    sequencer.step(
        units.settings, units.sequencers, index, units.buffers, stages.free, drop_valid, drop_inference, issue)
    if wiring.core_fetcher[index] >= 0:
        hand = units.sequencers.at_hand[index]
        weight_fetcher.note_core(units.fetchers, wiring.core_fetcher[index], stages.free,
                                 hand.valid and hand.kind == sequencer.EVENT)
    core.step(stages, issue, granted)


@twin
def _run_fetcher(units, number, buffer, behind, fetched_ready, room, chosen, cycle):  # pragma: no cover - compiled
    """Run a weight fetcher, with what the memory port has for it; return whether it takes from ``buffer``. ``chosen``:
    the fetcher whose request the port takes, if it has ``room``."""
    state, requests = units.memory.state[0], units.memory
    place = state.answered % len(requests.who)
    answered = memory.offers(requests, cycle) and requests.who[place] == number
    asked = room and chosen == number
    ready = buffer.valid and weight_fetcher.takes(units.fetchers, number, buffer.token, asked)
    weight_fetcher.step(units.fetchers, number, buffer, ready, asked, answered,
                        state.beat == requests.beats[place] - 1, behind, fetched_ready)
    return ready


@twin
def _run_way(wiring, units, edge, room, chosen, cycle):  # pragma: no cover - compiled
    """Run weight fetcher, pool merger and delay line of an edge; return whether the first unit takes what the buffer in
    front of it offers."""
    line, merger, fetcher = wiring.line[edge], wiring.merger[edge], wiring.fetcher[edge]
    taken = units.sequencers.ready[edge]
    if fetcher >= 0:
        buffer, behind = units.buffers[wiring.buffers[edge, 2]], units.buffers[edge]
        taken = _run_fetcher(units, fetcher, buffer, behind, taken, room, chosen, cycle)
    if merger >= 0:
        merged_ready = taken
        buffer, behind = units.buffers[wiring.buffers[edge, 1]], units.buffers[wiring.buffers[edge, 2]]
        taken = buffer.valid and pool_merger.takes(units.mergers, merger, buffer.token)
        pool_merger.step(units.mergers, merger, buffer, taken, behind, merged_ready)
    if line >= 0:
        late_ready = taken
        buffer, behind = units.buffers[wiring.buffers[edge, 0]], units.buffers[wiring.buffers[edge, 1]]
        taken = buffer.valid and delay_line.takes(units.lines, line)
        delay_line.step(units.lines, line, buffer, taken, behind, late_ready)
    return taken


@twin
def _last_that_asks(fetchers):  # pragma: no cover - compiled
    """The fetcher whose request the memory port takes, or −1."""
    for number in range(len(fetchers.state) - 1, -1, -1):
        if fetchers.state[number].asks:
            return number
    return -1


@twin
def _run_edges(wiring, units, log, cycle):  # pragma: no cover - compiled
    """Run the stream buffers between senders and cores, the delay lines, pool mergers and weight fetchers behind some
    of them, and the memory; log the transfers of the first."""
    external, chosen = len(units.fetchers.state) > 0, _last_that_asks(units.fetchers)
    asked = external and memory.asked(units.memory, cycle)
    room = external and (asked or not units.memory.state[0].valid)
    beats = units.fetchers.state[chosen].beats if chosen >= 0 else 0
    for edge in range(len(wiring.sender)):
        entry, offer, taken = wiring.buffers[edge, 0], units.offers[wiring.sender[edge]], units.sequencers.ready[edge]
        if entry != edge:
            taken = _run_way(wiring, units, edge, room, chosen, cycle)
        buffer = units.buffers[entry]
        if buffer.valid and taken:
            edge_log.note(log, edge, buffer.token, cycle)
        stream_buffer.step(buffer, offer.valid and offer.room, offer.token, taken)
    if external:
        memory.step(units.memory, cycle, asked, chosen >= 0, chosen, beats)


@twin
def _has_ended(wiring, units, source, sink, count, log):  # pragma: no cover - compiled
    """Whether all words and results are taken, and every core has done its last marker, of so many inferences.

    A recurrent layer must also have taken its own spikes of the last step, although they have no effect.
    """
    port = units.both_ports[0]
    if port.result < len(sink.taken) or port.word < len(source.words):
        return False
    for index in range(len(units.cores)):
        if units.sequencers.state[index].inference < count:
            return False
    for edge in range(len(wiring.sender)):
        if units.settings.edges[edge].recurrent:
            line = wiring.line[edge]
            if not edge_log.has_ended(log, edge, count):
                return False
            if line >= 0 and units.lines.state[line].finals < log.finals[edge]:
                return False
    return True


def _kept(digest: str):
    """Return `run`, whose compiled code is cached on disk under a key that contains the digest of its sources."""

    @numba.njit(cache=True, **FROM_PYTHON)
    def run(
        wiring: Wiring, units: Units, source: Source, sink: Sink, lists: SpikeLists, decision_steps: np.ndarray,
        window: int, log: EdgeLog, busy: BusyLog, limit: int,
    ) -> bool:  # pragma: no cover - compiled
        """Run all units; return whether all results are taken, and all tokens, within ``limit`` cycles.

        The cycles are written to ``source``, ``sink``, ``log`` and ``busy``. ``decision_steps`` int64[B, R / B] is the
        step that decides each of the windows of ``window`` steps into which the inferences are divided.
        """
        _ = digest  # makes it a part of the key in the cache
        last = len(units.cores) - 1
        for cycle in range(limit):
            drop_valid, drop_inference = units.readouts[0].drop_valid, units.readouts[0].drop_inference
            _find_room(wiring, units)
            _run_input(wiring, units, source, lists, cycle)
            granted = _run_readout(units, sink, decision_steps, window, cycle)
            for index in range(last + 1):
                _run_core(wiring, units, index, lists, granted or index < last, drop_valid, drop_inference)
            _run_edges(wiring, units, log, cycle)
            busy_log.note(busy, units.sequencers.state)
            if _has_ended(wiring, units, source, sink, len(decision_steps), log):
                return True
        return False

    return run


run = _kept(sources_digest(sources()))
