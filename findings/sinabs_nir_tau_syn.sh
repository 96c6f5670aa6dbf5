#!/bin/sh
# SPDX-License-Identifier: MIT
# sinabs 3.1.3: to_nir leaves out the synaptic current of a LIF, without a word.
#
# Most would expect: LIF(tau_syn=…), whose current lasts, is exported as a CubaLIF, or refused.
# Seen: it is exported as the same LIF node as without tau_syn; what is read of the file has no current.
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
from sinabs.nir import to_nir

torch.manual_seed(0)
found, spikes = {}, {}
x = torch.zeros(1, 8, 3)
x[:, 0] = 1.0
for tau_syn in (None, 5.0):
    one = layers.LIF(tau_mem=torch.full((3,), 10.0), spike_threshold=torch.ones(3), norm_input=False,
                     tau_syn=None if tau_syn is None else torch.full((3,), tau_syn))
    spikes[tau_syn] = int(one(x).sum())
    one.reset_states()
    graph = to_nir(torch.nn.Sequential(one), torch.zeros(1, 1, 3))
    found[tau_syn] = sorted(type(node).__name__ for node in graph.nodes.values())
    print(f"sinabs {version('sinabs')}, tau_syn={tau_syn}: {spikes[tau_syn]} spikes; nodes {found[tau_syn]}")
sys.exit(0 if found[None] == found[5.0] and "LIF" in found[5.0] and spikes[None] != spikes[5.0] else 1)
PYTHON
