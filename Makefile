# Every target runs setup first when .venv is missing.
PYTHON ?= python3.11
BIN := .venv/bin
NAME ?= foundation
DATA ?=
ROW ?=

.PHONY: setup demo check test bench clean

setup: .venv/.ready

# torch is named first and pinned, so that the CPU build is taken where one is offered.
.venv/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt torch -e '.[postgres,notebooks,dev]'
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
	$(BIN)/python -m pytest --cov --cov-report=term:skip-covered
	$(BIN)/python -m pytest --nbmake --nbmake-timeout=600 -p no:cacheprovider notebooks

bench: setup
	@test -n "$(DATA)" || { echo "say where the data sets are: make bench NAME=$(NAME) DATA=FOLDER"; exit 2; }
	$(BIN)/python -m tests.benchmarks.benchmark_$(subst -,_,$(NAME)) "$(DATA)" $(if $(ROW),--row "$(ROW)")

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache
