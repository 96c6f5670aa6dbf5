# SPDX-License-Identifier: MIT
"""Words that do not fit their parity, over the host link: what is said, and that weights are loaded again."""

from unittest.mock import create_autospec

import numpy as np
import pytest
from firstspike_arch.program import Program
from firstspike_arch.status import PARITY_COUNT_MAX
from firstspike_boards.driver import WireBackend
from firstspike_boards.link import Link, LinkError
from firstspike_compiler.compile import compile_network
from firstspike_hw.link.frames import Kind, identity_of, status_names, wire_format
from firstspike_sim.stimulus import make_stimulus


@pytest.fixture(scope="module")
def guarded(lif) -> Program:
    return compile_network(lif.network, lanes=[5, 3], protect="parity").program


def backend_of(program: Program, counted: dict[str, int], errors: int) -> tuple[WireBackend, list[int]]:
    """A backend on a link to a device that counts ``errors`` in each request of inferences; and the kinds asked."""
    link, asked = create_autospec(Link, instance=True), []
    link.identity = identity_of(program, buffer_bytes=256)
    link.identify.return_value = link.identity

    def exchange(requests, *_):
        asked.extend(kind for kind, _ in requests)
        for kind, _ in requests:
            if kind == Kind.PROGRAM:
                counted.update(parity_errors=0, parity_cores=0)
            elif kind == Kind.INFER:
                counted["parity_errors"] += errors
        status = np.array([counted.get(name, 0) for name in status_names(parity=True)], "<u4").tobytes()
        return [{Kind.STATUS: status, Kind.PROGRAM: b"\0"}.get(kind, bytes(wire_format(program).record_bytes + 1))
                for kind, _ in requests]

    link.exchange.side_effect = exchange
    return WireBackend(link), asked


@pytest.mark.parametrize(("before", "errors"), [(0, 3), (5, 1), (PARITY_COUNT_MAX, 0)])
def test_results_of_words_that_do_not_fit_are_refused(guarded, before, errors):
    counted: dict[str, int] = {"parity_errors": 0, "parity_cores": 0b11}
    backend, asked = backend_of(guarded, counted, errors)
    backend.load(guarded)
    assert Kind.PROGRAM not in asked
    counted["parity_errors"] = before
    stimulus = make_stimulus(guarded, np.zeros((1, 5, 13), int))
    with pytest.raises(LinkError, match=r"^words in the memories of a, b must be as they were written, but do not fit "
                                        r"their parity: the results are not to be trusted; run again, which loads the "
                                        r"weights again$"):
        backend.run(stimulus)
    backend.load(guarded)
    assert Kind.PROGRAM in asked and counted["parity_errors"] == 0


def test_results_of_words_that_fit_are_given(guarded):
    backend, _ = backend_of(guarded, {"parity_errors": 4, "parity_cores": 1}, 0)
    backend.load(guarded)
    trace = backend.run(make_stimulus(guarded, np.zeros((1, 5, 13), int)))
    assert trace.classes.tolist() == [0] and trace.counters["parity_errors"] == 0
