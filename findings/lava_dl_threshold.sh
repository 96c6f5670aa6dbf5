#!/bin/sh
# SPDX-License-Identifier: MIT
# lava-dl's CUBA neurons fire at a threshold of 64 or more, but only above a lower one.
#
# Most would expect: one comparison for all thresholds. lava-dl means "above", as Loihi compares, and says so where it adds a
# small threshold_eps; the exported network (vThMant) and lava's own neuron model fire above the threshold.
# Seen: a neuron whose membrane is its threshold exactly is silent with a threshold of 63, and fires with one of 64, as the
# small number is lost in float32. Networks with such thresholds are trained for spikes that they do not fire on Loihi.
#
# Ends with 0 if that is seen, and with 1 if lava-dl behaves otherwise.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip="$folder/venv/bin/python -m pip install --quiet"
# lava-dl pins old releases of what it needs; the neurons run with these.
$pip torch==2.13.0 numpy==2.4.6 h5py==3.16.0 matplotlib==3.11.2 scipy==1.17.1
$pip --no-deps --ignore-requires-python lava-dl==0.6.0
"$folder/venv/bin/python" - <<'PYTHON'
import sys
import types

import torch

sys.modules["lava.lib.dl.slayer.object_detection"] = types.ModuleType("object_detection")  # needs OpenCV; not used
from lava.lib.dl.slayer.neuron import cuba

seen = {}
for threshold in (63, 64):
    neuron = cuba.Neuron(threshold=threshold, current_decay=1.0, voltage_decay=1.0)
    with torch.no_grad():
        current = torch.full((1, 1, 1), float(threshold))
        membrane, spike = neuron.dynamics(current)[1].item(), neuron(current).item()
    seen[threshold] = spike
    print(f"lava-dl 0.6.0: threshold {threshold} (vThMant {neuron.v_th_mant}), membrane {membrane}: spike {spike:.0f}")
raise SystemExit(seen != {63: 0.0, 64: 1.0})
PYTHON
