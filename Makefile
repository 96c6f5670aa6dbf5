# SPDX-License-Identifier: MIT
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.PHONY: help setup demo test test-all coverage mutants prove lint docs bench clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 10

setup: $(READY)  ## .venv with everything in it

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) must be Python 3.11 or newer; name another with make PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(READY)  ## train, compile, simulate and verify a digits network
	$(BIN)/firstspike demo

# Tests of a file stay in one process, so that what they share is built once.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile

test: $(READY)  ## the test suite: what takes seconds
	$(PYTEST)

test-all: $(READY)  ## a thousand random networks and the real synthesis tools, too
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,synthesis,litedram]'
	$(PYTEST) -m 'not icarus'

coverage: $(READY)  ## the test suite, and which branches of the eight packages it takes
	$(PYTEST) --cov --cov-report=term-missing

mutants: $(READY)  ## faults planted in copies of the sources: the quick tests must catch every one
	$(BIN)/python tests/mutants/run_mutants.py

prove: $(READY)  ## properties of the units, for all inputs; WORDS='emitter --faults' chooses, and plants faults
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[prove]'
	$(BIN)/python tests/proofs/prove.py $(or $(WORDS),--write)

lint: $(READY)  ## style, types, imports between rooms
	$(BIN)/ruff check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports

docs: $(READY)  ## the documentation as a site, in site/
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

bench: $(READY)  ## docs/results.md, and the figures of the README
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[synthesis,simulation,litedram,nir,snntorch,spikingjelly,norse]'
	$(BIN)/python benchmarks/run.py

clean:  ## remove what the targets made
	rm -rf $(VENV) build demo site
