#!/bin/sh
# SPDX-License-Identifier: MIT
# snnTorch 1.0.0: RSynaptic(reset_delay=False) resets one step late all the same, or cannot run.
#
# Most would expect: RSynaptic(V=0, reset_delay=False), whose spikes do not come back, does what
# Synaptic(reset_delay=False) does: the membrane after a spike is reset in the same step.
# Seen: with states handed around, RSynaptic returns the membrane before the reset, and resets it in the next step, as
# with reset_delay=True; with init_hidden=True, its first call is a TypeError.
#
# Ends with 0 if that is seen, and with 1 if snnTorch behaves otherwise.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --target "$folder" snntorch==1.0.0 torch==2.13.0 numpy==2.4.6
PYTHONPATH="$folder" python3 - <<'PYTHON'
import sys
from importlib.metadata import version

import snntorch
import torch

numbers = {"alpha": 0.5, "beta": 0.5, "threshold": 0.9}
inputs = [torch.tensor([[one]]) for one in (1.0, 0.0, 0.0, 1.0, 0.0)]


def membranes(late):
    """Those of Synaptic and of RSynaptic without recurrence, step by step."""
    plain = snntorch.Synaptic(**numbers, reset_delay=late)
    recurrent = snntorch.RSynaptic(**numbers, reset_delay=late, all_to_all=False, V=torch.zeros(1))
    states, others, found = [torch.zeros(1, 1)] * 2, [torch.zeros(1, 1)] * 3, []
    for x in inputs:
        states = plain(x, *states)[1:]
        others = recurrent(x, *others)
        found.append((round(float(states[-1].detach()), 4), round(float(others[-1].detach()), 4)))
    return list(zip(*found))


seen = {late: membranes(late) for late in (True, False)}
for late, (one, other) in seen.items():
    print(f"snnTorch {version('snntorch')}, reset_delay={late}: membranes of Synaptic {one}, of RSynaptic {other}")
try:
    snntorch.RSynaptic(**numbers, reset_delay=False, all_to_all=False, V=torch.zeros(1), init_hidden=True)(inputs[0])
    runs = "it runs"
except TypeError as error:
    runs = f"TypeError: {error}"
print(f"with init_hidden=True and reset_delay=False: {runs}")
same = seen[True][0] == seen[True][1] == seen[False][1] != seen[False][0]
sys.exit(0 if same and runs.startswith("TypeError") else 1)
PYTHON
