# Every target runs setup first when .venv is missing.
PYTHON ?= python3.11
BIN := .venv/bin
NAME ?= foundation
DATA ?=
ROW ?=
BASE ?=
TECHNIQUE ?=
WORKERS ?= 2
PYTEST := $(BIN)/python -m pytest --numprocesses=$(WORKERS) --dist=worksteal
PYTEST_ARGS ?=

.PHONY: setup demo check test test-quick coverage bench mutants clean

setup: .venv/.ready

# torch is named first and pinned, so that the CPU build is taken where one is offered.
.venv/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt torch -e '.[postgres,xlsx,notebooks,dev]'
	$(BIN)/recsys fetch-samples
	touch $@

demo: setup
	$(BIN)/recsys quickstart

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check
	$(PYTEST) --nbmake --nbmake-timeout=600 $(PYTEST_ARGS) tests notebooks

# Without a browser, PostgreSQL, and training for seconds.
test-quick: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(PYTEST) -m "not (slow or postgresql or browser)" $(PYTEST_ARGS)

coverage: setup
	$(PYTEST) --cov --cov-report=term:skip-covered --cov-fail-under=97 $(PYTEST_ARGS)

bench: setup
	@test -n "$(DATA)" || { echo "say where the data sets are: make bench NAME=$(NAME) DATA=FOLDER"; exit 2; }
	$(BIN)/python -m tests.benchmarks.benchmark_$(subst -,_,$(NAME)) "$(DATA)" $(if $(ROW),--row "$(ROW)") $(if $(BASE),--base "$(BASE)")

# Breaks lines that carry an idea, one after the other: each has to fail a test.
mutants: setup
	$(BIN)/python -m tests.mutants.run $(TECHNIQUE)

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache
