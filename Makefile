# Everything a newcomer or a contributor runs; `make help` lists it.

PYTHON ?= python3
VENV ?= .venv
# A bare `torch` pulls gigabytes of CUDA on Linux. Elsewhere, for a CPU build:
#   make TORCH_INDEX=https://download.pytorch.org/whl/cpu demo
TORCH ?= torch==2.13.0
TORCH_INDEX ?=
FUZZ_SECONDS ?= 600
WORKERS ?= auto
BIN = $(VENV)/bin
INSTALLED = $(VENV)/.installed
NATIVE = $(wildcard src/native/*) CMakeLists.txt
CXX_SOURCES = $(wildcard src/native/*.cpp src/native/*.h tests/native/*)

.DEFAULT_GOAL := help
.PHONY: help install demo test lint format types bench study fuzz sanitize aarch64 clean

help: ## list these targets
	@grep -E '^[a-z0-9]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

install: $(INSTALLED) ## make .venv and install the package with all its extras

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(INSTALLED): pyproject.toml $(NATIVE) | $(BIN)/python
	$(BIN)/pip install -q $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) '$(TORCH)'
	$(BIN)/pip install -q -e '.[dev]'
	@touch $@

demo: $(INSTALLED) ## which loss do 30 %-noisy digits want? prints the table and the page's path
	$(BIN)/crossentropy compare --sample digits --label-noise 0.3 --out demo --force

test: lint types $(INSTALLED) ## lint, types and all tests
	$(BIN)/python -m pytest -q -n $(WORKERS)

lint: $(INSTALLED) ## ruff and clang-format, checking only
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run --Werror $(CXX_SOURCES)

format: $(INSTALLED) ## rewrite the sources in the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(CXX_SOURCES)

types: $(INSTALLED) ## mypy, strict
	$(BIN)/mypy

bench: $(INSTALLED) ## speed, memory and accuracy beside the peers, as ratios in one run
	$(BIN)/crossentropy bench

study: $(INSTALLED) ## how often compare crowns a false winner (ten minutes)
	$(BIN)/python benchmarks/null_study.py

fuzz: $(INSTALLED) ## search for wrong answers and crashes, FUZZ_SECONDS long (ten minutes)
	$(BIN)/python -m tests.fuzz --seconds $(FUZZ_SECONDS)

sanitize: $(INSTALLED) ## the kernel tests under AddressSanitizer and UBSan (five minutes)
	.ci/sanitize

aarch64: ## the kernels' own test on 64-bit ARM, under emulation
	.ci/aarch64

clean: ## remove what these targets made
	rm -rf $(VENV) build dist demo .mypy_cache .pytest_cache .ruff_cache .hypothesis
