# SPDX-License-Identifier: MIT
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.PHONY: help setup demo test lint bench clean

help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 10

setup: $(READY)  ## .venv with everything in it

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) must be Python 3.11 or newer; name another with make PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(READY)  ## train, compile, simulate and verify a digits network
	$(BIN)/firstspike demo

test: $(READY)  ## the test suite
	$(BIN)/python -m pytest -n 2

lint: $(READY)  ## style, types, imports between rooms
	$(BIN)/ruff check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports

bench: $(READY)  ## the figures of the README
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[synthesis,nir,snntorch,spikingjelly,norse]'
	$(BIN)/python benchmarks/run.py

clean:  ## remove what the targets made
	rm -rf $(VENV) build
