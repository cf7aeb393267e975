# Everything runs in .venv, which the first target that needs it creates.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN ?= runs/demo

.PHONY: demo test test-all lint bench tiny docs schema install

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
	@echo "Open $(RUN)/report/index.html in a browser. One sample in the terminal: $(BIN)/layerprism inspect $(RUN) s0000000"

test: install  ## everything but the slow tests
	$(BIN)/python -m pytest

test-all: install
	$(BIN)/python -m pytest -m ''

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: install  ## a quarter of an hour; needs the emoji font for the thresholds
	$(BIN)/python -m benchmarks.demo
	$(BIN)/python -m benchmarks.run_overhead
	$(BIN)/python -m benchmarks.estimate
	$(BIN)/python -m benchmarks.shards
	$(BIN)/python -m benchmarks.exports
	$(BIN)/python -m benchmarks.filters
	$(BIN)/python -m benchmarks.calibration
	$(BIN)/python -m benchmarks.duplicates
	$(BIN)/python -m benchmarks.review
	$(BIN)/python -m benchmarks.matting
	$(BIN)/python -m benchmarks.matting_speed

# Three hours on one core; needs Debian's fonts-noto-color-emoji. Each training goes on where it was stopped.
tiny: install  ## trains the embedded models again
	$(BIN)/python -m models.recipes.drawings
	$(BIN)/python -m models.recipes.train_flux
	$(BIN)/python -m models.recipes.train_vae
	$(BIN)/python -m models.recipes.train_clip
	$(BIN)/python -m models.recipes.train_judge
	$(BIN)/python -m models.recipes.export
	$(BIN)/python -m models.recipes.matting_data
	$(BIN)/python -m models.recipes.train_matting
	$(BIN)/python -m models.recipes.train_matting --export
	$(BIN)/python -m models.recipes.artifact_data
	$(BIN)/python -m models.recipes.train_artifacts
	$(BIN)/python -m models.recipes.evaluate_tiny
	$(BIN)/python -m models.recipes.art_latents
	$(BIN)/python -m models.recipes.train_art
	$(BIN)/python -m models.recipes.export_art
	$(BIN)/python -m models.recipes.evaluate_art

docs: install  ## the documents as a site in build/site; needs no network
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

schema: install  ## configs/run.schema.json, after a configuration class has changed
	$(BIN)/python -c 'from pathlib import Path; from pipeline.config import write_config_schema as write; write(Path("configs/run.schema.json"))'
