#!/bin/sh
# SPDX-License-Identifier: MIT
# snnTorch 1.0.0: an RLeaky without recurrence is not a Leaky.
#
# Most would expect: RLeaky(V=0), whose spikes do not come back, does what Leaky does, with every reset_mechanism.
# Seen: with reset_mechanism="zero" and the default reset_delay=True, RLeaky also takes away the whole input of the step
# after a spike: on a constant input above the threshold, Leaky fires in every step, RLeaky in every other.
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

seen = {}
for reset in ("subtract", "zero"):
    plain = snntorch.Leaky(beta=0.5, reset_mechanism=reset)
    recurrent = snntorch.RLeaky(beta=0.5, reset_mechanism=reset, all_to_all=False, V=torch.zeros(1))
    x, spike, membrane, other = torch.tensor([[1.5]]), *[torch.zeros(1, 1)] * 3
    spikes = []
    for _ in range(6):
        fired, membrane = plain(x, membrane)
        spike, other = recurrent(x, spike, other)
        spikes.append((int(fired), int(spike)))
    seen[reset] = list(zip(*spikes))
    print(f"snnTorch {version('snntorch')}, {reset}: Leaky fires {seen[reset][0]}, RLeaky without recurrence "
          f"{seen[reset][1]}")
sys.exit(0 if seen["zero"] == [(1,) * 6, (1, 0) * 3] and seen["subtract"][0] == seen["subtract"][1] else 1)
PYTHON
