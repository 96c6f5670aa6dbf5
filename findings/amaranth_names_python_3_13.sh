#!/bin/sh
# SPDX-License-Identifier: MIT
# Amaranth 0.5.10 names fewer signals on Python 3.13: the Verilog of a design depends on the Python.
#
# Most would expect: of free, ready = Signal(), Signal() the second is called "ready", as on Python 3.11 and 3.12.
# Seen: Python 3.13 joins the stores of two local variables into STORE_FAST_STORE_FAST, which amaranth.tracer does not
# know; the signal is called "$signal", and so are wire and register in the Verilog.
# firstspike reads the name itself (hw/firstspike_hw/signal_names.py).
#
# Ends with 0 if that is seen, and with 1 if Amaranth behaves otherwise. $PYTHON: a Python 3.13.
set -eu
python="${PYTHON:-python3.13}"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m pip install --quiet --target "$folder" amaranth==0.5.10
PYTHONPATH="$folder" "$python" - <<'PYTHON'
import sys

from amaranth.hdl import Signal


def made():
    free, ready = Signal(), Signal()
    return free, ready


name = made()[1].name
print("Python", sys.version.split()[0], name)
sys.exit(sys.version_info < (3, 13) or name != "$signal")
PYTHON
