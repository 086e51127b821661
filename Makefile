# `make demo` shows the main job, `make test` runs the tests; each sets up what it needs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# SERVE=0: the demo ends with its figures, and never serves.
SERVE ?= 1
# WORKERS=4: that many tests at the same time; those of one file stay together.
WORKERS ?= 2
PYTEST := $(BIN)/python -m pytest -q --numprocesses $(WORKERS) --dist loadfile

.PHONY: help demo test test-all lint types kernels clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/.product: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable . --constraint constraints.txt
	@touch $@

$(VENV)/.tests: $(VENV)/.product
	$(BIN)/python -m pip install --quiet --editable '.[test]' --constraint constraints.txt
	@touch $@

demo: $(VENV)/.product ## index and search the Python standard library's documentation
	$(BIN)/lexidex demo $(if $(filter 0,$(SERVE)),--no-serve)

test: $(VENV)/.tests ## run the tests
	$(PYTEST)

test-all: $(VENV)/.tests ## run the tests and the long ones
	$(PYTEST) -m "not network"

kernels: $(VENV)/.tests ## run the kernel tests interpreted, and with bounds checks
	NUMBA_DISABLE_JIT=1 $(PYTEST) tests/index -m "not slow and not compiled_only"
	NUMBA_BOUNDSCHECK=1 $(PYTEST) tests/index -m "not slow and not compiled_only"

lint: $(VENV)/.tests ## check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.tests ## check types
	$(BIN)/mypy -p lexidex

clean: ## remove what the other targets made
	rm -rf $(VENV) demo-collection build dist *.egg-info
