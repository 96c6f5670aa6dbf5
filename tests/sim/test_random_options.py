# SPDX-License-Identifier: MIT
"""The random networks that run in every simulator: which options they have, and how often."""

from collections import Counter

from firstspike_sim.testing.network_options import OPTIONS, options


def test_every_option_is_run(varied_programs):
    """Each of `OPTIONS` is in two networks that CI runs; the message of a failure says how often each is."""
    found = Counter(option for program, _ in varied_programs for option in options(program))
    assert found.keys() <= OPTIONS
    assert not (rare := {option for option in OPTIONS if found[option] < 2}), f"too rare: {sorted(rare)}; {found}"


def test_most_have_what_neurons_of_other_frameworks_have(varied_programs):
    newer = {"lasting current", "delays", "equal delays", "leak toward 0", "weight exponent", "adaptive thresholds"}
    assert sum(bool(options(program) & newer) for program, _ in varied_programs) >= 20


def test_an_option_that_a_network_has_is_seen(varied_programs):
    """Of each option, some network has it and some has it not, so that none is counted without being there."""
    found = [options(program) for program, _ in varied_programs]
    assert OPTIONS - set.intersection(*found) == OPTIONS
