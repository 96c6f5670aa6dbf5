#!/bin/sh
# SPDX-License-Identifier: MIT
# sinabs 3.1.3: an ALIF with tau_syn forgets its synaptic current from one call to the next.
#
# Most would expect: the steps of an input may be given in one call or in several, as to a LIF: the layer keeps its state.
# Seen: ALIF.forward stores v_mem, b and spike_threshold, but not i_syn, so that spikes depend on how steps are divided.
#
# Ends with 0 if that is seen, and with 1 if sinabs behaves otherwise.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet sinabs==3.1.3 nir==1.0.4 nirtorch==2.0.2 torch==2.13.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import sys
from importlib.metadata import version

import sinabs.layers as layers
import torch

x = torch.ones(1, 6, 1)
found = {}
for kind, more in ((layers.LIF, {}), (layers.ALIF, {"tau_adapt": torch.tensor(5.0)})):
    for tau_syn in (None, torch.tensor(5.0)):
        at_once, by_steps = (kind(tau_mem=torch.tensor(10.0), tau_syn=tau_syn, norm_input=False,
                                  spike_threshold=torch.tensor(1.5), **more) for _ in range(2))
        one = at_once(x).flatten().int().tolist()
        other = torch.cat([by_steps(x[:, [step]]) for step in range(6)], 1).flatten().int().tolist()
        found[kind.__name__, tau_syn is not None] = one == other
        print(f"sinabs {version('sinabs')}, {kind.__name__}(tau_syn={tau_syn}): in one call {one}, in six {other}")
sys.exit(0 if found == {("LIF", False): True, ("LIF", True): True, ("ALIF", False): True, ("ALIF", True): False} else 1)
PYTHON
