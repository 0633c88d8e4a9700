# From a fresh clone, every target first makes .venv with the pinned packages; later calls find it as it is.

VENV ?= .venv
PEERS ?= .venv-peers
OUT ?= out/demo
BUILT = $(shell command -v c++ >/dev/null 2>&1 && echo --requirement requirements-peers-built.txt)
SOAK ?= 1

export PYTHON TORCH_INDEX

.DEFAULT_GOAL := help
.PHONY: help demo test test-all peers soak lint format wheel environment clean

help:
	@echo 'make demo      make a small language model on this machine, from web pages to a chat answer, in OUT=$(OUT)'
	@echo 'make test      the default tests, some seven minutes'
	@echo 'make test-all  the slow tests and the comparisons with peers as well'
	@echo 'make lint      format, lint and strict types, as CI runs them'
	@echo 'make format    put the sources into format'
	@echo 'make soak      the long random sweeps and fuzzing, about twenty-five minutes; SOAK=6 for six times as much'
	@echo 'make wheel     build dist/waman-*.whl'
	@echo 'make peers     the environment of packages that we only compare with, in $(PEERS)'
	@echo 'make clean     remove the environments and what was built; OUT stays'
	@echo
	@echo 'PYTHON=/path/to/python3  the interpreter;  TORCH_INDEX=URL  the wheel index for torch (after make clean)'

demo: environment
	$(VENV)/bin/waman demo --out $(OUT)

test: environment
	$(VENV)/bin/python -m pytest --durations=10

test-all: environment peers
	$(VENV)/bin/python -m pytest --durations=10 -m 'not soak'

soak: environment
	$(VENV)/bin/python -m pytest --durations=20 -m soak --soak=$(SOAK)

lint: environment
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

format: environment
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

wheel: environment
	@sh scripts/wheel.sh $(VENV)/bin/python

environment:
	@sh scripts/environment.sh $(VENV) constraints.txt --editable '.[dev]'

peers:
	@sh scripts/environment.sh $(PEERS) constraints-peers.txt --requirement requirements-peers.txt $(BUILT)

clean:
	rm -rf $(VENV) $(PEERS) build dist waman.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
