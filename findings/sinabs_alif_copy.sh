#!/bin/sh
# SPDX-License-Identifier: MIT
# sinabs 3.1.3: copy.deepcopy of an ALIF is another neuron, or fails.
#
# Most would expect: a copy does the same. Copies are made by torch's tools, by training loops that keep the best model, …
# Seen: a copy of ALIF(norm_input=False) normalises its input; of ALIF(train_alphas=True) without tau_syn there is none.
#
# Ends with 0 if that is seen, and with 1 if sinabs behaves otherwise.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet sinabs==3.1.3 nir==1.0.4 nirtorch==2.0.2 torch==2.13.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import copy
import sys
from importlib.metadata import version

import sinabs.layers as layers
import torch

times = {"tau_mem": torch.tensor(10.0), "tau_adapt": torch.tensor(5.0)}
one = layers.ALIF(**times, norm_input=False)
other = copy.deepcopy(one)
spikes = [int(layer(torch.ones(1, 20, 1)).sum()) for layer in (one, other)]
print(f"sinabs {version('sinabs')}, ALIF(norm_input=False): {spikes[0]} spikes, its copy {spikes[1]}")
try:
    copy.deepcopy(layers.ALIF(**times, train_alphas=True))
    failed = False
except AttributeError as error:
    failed = True
    print(f"ALIF(train_alphas=True): no copy: {error}")
sys.exit(0 if spikes[0] != spikes[1] and failed else 1)
PYTHON
