#!/bin/sh
# SPDX-License-Identifier: MIT
# snnTorch 1.0.0: the example in the documentation of export_to_nir ends in an error with the newest nir.
#
# Most would expect: a network of Linear and Leaky(beta=0.9) is exported, as the docstring of export_to_nir shows.
# Seen (nir 1.0.8, nirtorch 2.6): ValueError, because such neurons get the shape [] behind a layer of shape [500]. Only
# neurons whose beta and threshold are tensors of the layer's size can be exported.
#
# Ends with 0 if that is seen, and with 1 if snnTorch behaves otherwise.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --target "$folder" snntorch==1.0.0 nir==1.0.8 nirtorch==2.6 torch==2.13.0 numpy==2.4.6
PYTHONPATH="$folder" python3 -W ignore - <<'PYTHON'
import sys
from importlib.metadata import version

import snntorch as snn
import torch
from snntorch.export_nir import export_to_nir


def outcome(sizes, **options):
    numbers = [{"beta": 0.9} if size is None else {"beta": torch.full((size,), 0.9), "threshold": torch.ones(size)}
               for size in sizes]
    net = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(784, 500), snn.Leaky(**numbers[0], init_hidden=True),
        torch.nn.Linear(500, 10), snn.Leaky(**numbers[1], init_hidden=True, output=True))
    try:
        return f"{len(export_to_nir(net, torch.randn(1, 784), **options).nodes)} nodes"
    except ValueError as error:
        return f"ValueError: {error}"


print(f"snnTorch {version('snntorch')}, nir {version('nir')}, nirtorch {version('nirtorch')}")
seen = [outcome((None, None)), outcome((None, None), ignore_dims=[0]), outcome((500, 10), ignore_dims=[0])]
for what, one in zip(("as documented", "without the batch", "beta and threshold as tensors"), seen):
    print(f"{what}: {one}")
sys.exit(0 if [one.startswith("ValueError") for one in seen] == [True, True, False] else 1)
PYTHON
