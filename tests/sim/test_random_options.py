# SPDX-License-Identifier: MIT
"""The random networks that run in every simulator: which options they have, and how often."""

from collections import Counter

from firstspike_sim.testing.network_options import OPTIONS, options, pairs, possible_pairs


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


def test_no_network_has_a_pair_that_is_called_impossible(varied_programs):
    possible = possible_pairs()
    assert len(pairs(OPTIONS)) > len(possible) > 0.9 * len(pairs(OPTIONS))
    assert ("input direct", "input events") not in possible and ("endless", "port image") not in possible
    for program, _ in varied_programs:
        assert pairs(options(program)) <= possible
