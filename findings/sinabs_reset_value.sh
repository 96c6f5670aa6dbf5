#!/bin/sh
# SPDX-License-Identifier: MIT
# sinabs's MembraneReset(reset_value) adds the value to the membranes of silent neurons, too, in every step.
#
# Most would expect: a neuron that fires goes on from reset_value ("reset the membrane potential to a given value after it
# spiked", says its docstring), and one that does not fire keeps its membrane.
# Seen: a neuron far below its threshold that gets no input at all grows by reset_value in every step, until it fires.
#
# Ends with 0 if that is seen, and with 1 if sinabs behaves otherwise.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet sinabs==3.1.3 torch==2.13.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import sinabs
import torch
from sinabs.activation import MembraneReset, SingleSpike
from sinabs.layers import IAF

neuron = IAF(spike_threshold=torch.tensor(10.0), spike_fn=SingleSpike, reset_fn=MembraneReset(reset_value=0.25))
with torch.no_grad():
    spikes = neuron(torch.zeros(1, 8, 1))
print(f"sinabs {sinabs.__version__}: {int(spikes.sum())} spikes in 8 steps without input; the membrane is "
      f"{neuron.v_mem.item()}, not 0")
raise SystemExit(not (spikes.sum() == 0 and neuron.v_mem.item() == 2.0))
PYTHON
