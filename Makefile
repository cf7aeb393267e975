# Everything runs in .venv, which the first target that needs it creates.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN ?= runs/demo

.PHONY: demo test test-all lint bench tiny install

# Reinstalled when the project's description changes.
$(VENV)/.installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("LayerPrism needs Python 3.11 or newer: make PYTHON=/path/to/python")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@

install: $(VENV)/.installed

demo: install  ## briefs to shards with the embedded model, on this machine's CPU
	$(BIN)/layerprism run configs/demo.yaml --out $(RUN)
	$(BIN)/layerprism verify $(RUN)
	@echo "Look at $(RUN)/report/index.html, or: $(BIN)/layerprism inspect $(RUN)"

test: install  ## everything but the slow tests
	$(BIN)/python -m pytest

test-all: install
	$(BIN)/python -m pytest -m ''

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: install
	$(BIN)/python -m benchmarks.run_overhead
	$(BIN)/python -m benchmarks.shards
