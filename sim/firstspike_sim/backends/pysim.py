# SPDX-License-Identifier: MIT
"""Backend on Amaranth's own simulator, which needs no external tools."""

from collections.abc import Callable

import numpy as np
from amaranth.sim import Simulator
from firstspike_arch.backend import Stimulus, Trace
from firstspike_arch.program import Program, status_addresses
from firstspike_arch.result import result_layout, scores_from_raw
from firstspike_arch.status import COUNTERS
from firstspike_arch.work import quiet_cycles
from firstspike_hw.accelerator import Accelerator
from firstspike_hw.toolchain import ToolError

from ..stimulus import cycle_limit
from .external_memory import ExternalMemory

__all__ = ["PysimBackend"]


class PysimBackend:
    """Backend that simulates the Amaranth description itself, slowly.

    Parameters
    ----------
    fails : callable or None
        Called with the number of a request to the external memory: whether it is answered with errors, and other data.
        None: none is.
    """

    name = "pysim"

    def __init__(self, *, fails: Callable[[int], bool] | None = None) -> None:
        self._program: Program | None = None
        self._fails = fails

    def load(self, program: Program) -> None:
        """Remember the program; nothing is built before a run."""
        self._program = program

    def run(self, stimulus: Stimulus, *, limit: int | None = None) -> Trace:
        """Run from reset.

        Raises
        ------
        RuntimeError
            No program is loaded.
        ToolError
            The run does not end within ``limit`` cycles (default: `cycle_limit`).
        """
        program = self._program
        if program is None:
            raise RuntimeError("load a program first")
        limit = cycle_limit(program, stimulus) if limit is None else limit
        enough = quiet_cycles(program, stimulus.memory)
        accelerator = Accelerator(program, program.images())
        layout = result_layout(program)
        count, total = stimulus.results, len(stimulus.words)
        gaps = [0] * total if stimulus.gaps is None else stimulus.gaps.tolist()
        stalls = [0] * count if stimulus.sink_stalls is None else stimulus.sink_stalls.tolist()
        accepted, decided, taken = np.full(total, -1), np.full(count, -1), np.full(count, -1)
        results: list[tuple] = []
        transfers: list[list[tuple[int, int]]] = [[] for _ in program.network.edges()]
        ended = False
        counters: dict[str, int] = {}
        memory = None
        if program.external:
            memory = ExternalMemory(program.external_image().contents, stimulus.memory, program.config.beat_bits,
                                    self._fails)
        # These members belong to a signature that is made at run time, so the type checker does not know them.
        source, result = accelerator.source, accelerator.result  # pyright: ignore[reportAttributeAccessIssue]

        def payload(word: int):
            return word if program.config.port == "image" else source.payload.shape().from_bits(word)

        async def bench(ctx):
            nonlocal ended
            word, available, quiet = 0, gaps[0], 0
            for cycle in range(limit):
                offered = word < total and cycle >= available
                ctx.set(source.valid, offered)
                if offered:
                    ctx.set(source.payload, payload(int(stimulus.words[word])))
                place = len(results)
                valid = bool(ctx.get(result.valid)) and place < count
                if valid and decided[place] < 0:
                    decided[place] = cycle
                takes = valid and cycle >= int(decided[place]) + stalls[place]
                ctx.set(result.ready, takes or (place < count and stalls[place] == 0))
                quiet += 1
                if memory is not None:
                    _run_memory(ctx, accelerator, memory, cycle)
                if offered and ctx.get(source.ready):
                    accepted[word] = cycle
                    word += 1
                    if word < total:
                        available = cycle + 1 + gaps[word]
                for (edge_valid, edge_ready, edge_payload), log in zip(accelerator.edges, transfers, strict=True):
                    if ctx.get(edge_valid) and ctx.get(edge_ready):
                        log.append((ctx.get(edge_payload), cycle))
                        quiet = 0
                if takes:
                    taken[place] = cycle
                    results.append(layout.unpack(ctx.get(result.payload.as_value())))
                if word < total or len(results) < count:
                    quiet = 0
                if quiet == enough:
                    ended = True
                    for name, address in status_addresses(program).items():
                        if name not in COUNTERS:  # which need some cycles
                            ctx.set(accelerator.status_address, address)
                            counters[name] = ctx.get(accelerator.status_data)
                    if memory is not None:
                        counters.update(beats=memory.sent)
                    return
                await ctx.tick()

        simulator = Simulator(accelerator)
        simulator.add_clock(1e-6)
        simulator.add_testbench(bench)
        simulator.run()
        if not ended:
            raise ToolError(f"no end within {limit} cycles: {len(results)} of {count} results")
        steps = np.array([entry[1] for entry in results])
        edges = [layout.one_by_one(*np.array(log, dtype=np.int64).reshape(-1, 2).T)
                 for layout, log in zip(program.edge_layouts, transfers, strict=True)]
        return Trace(
            accepted=accepted, classes=np.array([entry[0] for entry in results]), steps=steps,
            decided_by=np.array([entry[2] for entry in results]),
            scores=scores_from_raw(program, np.array([entry[3] for entry in results]), steps),
            decided=decided, taken=taken, edge_tokens=tuple(tokens for tokens, _ in edges),
            edge_cycles=tuple(cycles for _, cycles in edges), counters=counters,
        )


def _run_memory(ctx, accelerator: Accelerator, memory: ExternalMemory, cycle: int) -> None:
    """Run the external memory for a cycle."""
    requests, responses = accelerator.requests, accelerator.responses
    beat = memory.offered(cycle)
    ctx.set(responses.valid, beat is not None)
    if beat is not None:
        for field, value in zip((responses.payload.data, responses.payload.last, responses.payload.error), beat,
                                strict=True):
            ctx.set(field, value)
    valid = bool(ctx.get(requests.valid))
    ready = memory.ready(cycle, valid)
    ctx.set(requests.ready, ready)
    request = (ctx.get(requests.payload.address), ctx.get(requests.payload.beats)) if valid and ready else None
    memory.step(cycle, taken=beat is not None and bool(ctx.get(responses.ready)), request=request)
