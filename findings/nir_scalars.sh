#!/bin/sh
# SPDX-License-Identifier: MIT
# nir 1.0.8 cannot write a graph that has a parameter without dimensions.
#
# Most would expect: nir.write(file, graph) writes a LIF neuron whose numbers are 0-dimensional arrays, as nir 1.0.7 did.
# Norse 1.1 and sinabs 3.1 export their leaky neurons so.
# Seen: nir 1.0.8 compresses every dataset, which HDF5 cannot do to scalars: TypeError, and no file.
#
# Ends with 0 if that is seen, and with 1 if nir behaves otherwise.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for version in 1.0.7 1.0.8; do
    python3 -m pip install --quiet --target "$folder/$version" "nir==$version" numpy==2.4.6 h5py==3.16.0
    PYTHONPATH="$folder/$version" python3 - "$folder/$version.nir" "$version" <<'PYTHON' | tee -a "$folder/seen"
import sys

import nir
import numpy as np

number = np.array(0.5)
neuron = nir.LIF(tau=number, r=number, v_leak=number, v_threshold=number, v_reset=number)
nodes = {"input": nir.Input({"input": np.array([])}), "lif": neuron, "output": nir.Output({"output": np.array([])})}
graph = nir.NIRGraph(nodes, [("input", "lif"), ("lif", "output")])
try:
    nir.write(sys.argv[1], graph)
    print(f"nir {sys.argv[2]}: written; tau is read as {nir.read(sys.argv[1]).nodes['lif'].tau!r}")
except TypeError as error:
    print(f"nir {sys.argv[2]}: {type(error).__name__}: {error}")
PYTHON
done
grep -q "1.0.7: written" "$folder/seen" && grep -q "1.0.8: TypeError: Scalar datasets" "$folder/seen"
