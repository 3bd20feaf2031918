# The front door: `make help`. Every target sets up what it needs.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup demo up test test-fast check format protos bench bench-backlog back-pressure faults faults-full fuzz poison histories lock replay clean

help: ## Show what there is to do
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Hanse needs Python 3.11 or newer; name one with PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { echo "This Python has no venv: apt-get install python3-venv (the one step that needs root)"; exit 1; }
	@echo "Setting up: the first time takes a minute or two."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $(STAMP)

setup: $(STAMP) ## Make the virtual environment from the locked, hashed requirements; needs no root

demo: $(STAMP) ## Start headquarters, Shanghai and Munich, and show the whole job on them
	$(BIN)/hanse demo

up: $(STAMP) ## Keep a group running to play with, until Ctrl-C
	$(BIN)/hanse up

test: $(STAMP) ## Pass all tests, on real servers; WORKERS= says how many modules at a time
	$(BIN)/pytest tests --numprocesses $(or $(WORKERS),2) --dist loadfile --no-loadscope-reorder

test-fast: $(STAMP) ## Pass the tests that need no server
	$(BIN)/pytest tests/unit

check: $(STAMP) ## Lint, types, imports, contracts, drift of what is generated
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	PYTHON=../$(BIN)/python protos/check.sh

format: $(STAMP) ## Put the code into its one format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

protos: $(STAMP) ## Generate the code of the contracts again
	PYTHON=../$(BIN)/python protos/generate.sh

histories: $(STAMP) ## Record the workflow histories that are missing; the replay tests hold changes against them
	$(BIN)/python -m tests.replay.record_histories

bench: $(STAMP) ## Measure against floors in the same run; see docs/reference/performance.md
	$(BIN)/python -m tests.benchmarks

fuzz: $(STAMP) ## Send hostile input to every rpc and to both ends of the link; EXAMPLES= says how much of each kind
	HANSE_FUZZ_EXAMPLES=$(or $(EXAMPLES),500) $(BIN)/pytest tests/fuzz --timeout 3600

faults: $(STAMP) ## Kill processes, cut lines, and check that nothing is lost; also a part of make test
	$(BIN)/pytest tests/faults --numprocesses 2 --dist loadfile --no-loadscope-reorder -rP

faults-full: $(STAMP) ## The promises on reliability with their full figures, for hours; goes on where it was stopped
	$(BIN)/python -m tests.faults --results .hanse-faults
	$(BIN)/python -m tests.faults --results .hanse-faults long_cut

poison: $(STAMP) ## Tell 10,000 messages with 10 that can't be applied, on both brokers
	HANSE_POISON_MESSAGES=10000 $(BIN)/pytest -s tests/integration/hanse/test_poison.py

back-pressure: $(STAMP) ## Let each end of a link not read for a minute, and measure the other one
	HANSE_STALL_SECONDS=60 $(BIN)/pytest -s tests/integration/hanse_federation/test_back_pressure.py

bench-backlog: $(STAMP) ## Let 1,000,000 events pass over one link and watch both ends' memory; takes long
	$(BIN)/python -m tests.benchmarks long_backlog

replay: $(STAMP) ## Import the sample incident log and show headquarters' report; FILE= and UNITS= choose another
	$(BIN)/hanse replay $(or $(FILE),docs/reference/sample-incidents.csv) --units $(or $(UNITS),3)

lock: $(STAMP) ## Lock the newest dependencies again, with hashes; needs uv
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --group dev pyproject.toml -o requirements.lock

clean: ## Remove the virtual environment and the group of `make up`
	rm -rf $(VENV) .hanse .hanse-replay
