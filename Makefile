# `make help` lists what there is. Everything lives in .venv; stamps in it say what is installed, so that a second
# call does nothing until pyproject.toml or the pinned versions change.

VENV ?= .venv
BIN := $(VENV)/bin
DIGITS := examples/digits
# One resolver run a file; the pins come from requirements/, so nothing is looked for and nothing is unhashed.
PIP := $(BIN)/pip install --quiet --disable-pip-version-check
INSTALL_SELF := $(PIP) --no-deps --no-build-isolation --editable .

.DEFAULT_GOAL := help
.PHONY: help serve test format lint types imports unit model system compiled
.PHONY: bench baseline bench-peers chaos soak fix lock image clean
.DELETE_ON_ERROR:

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# --- environments ---------------------------------------------------------------------------------------

$(BIN)/python:
	@python=$$(scripts/find-python) && echo "making $(VENV) with $$python" && "$$python" -m venv $(VENV)

$(VENV)/.example: requirements/example.txt pyproject.toml | $(BIN)/python
	@echo "installing eas-engine and what the example needs into $(VENV); a minute or two, once"
	@$(PIP) --require-hashes -r requirements/example.txt
	@$(INSTALL_SELF)
	@touch $@

$(VENV)/.dev: requirements/dev.txt pyproject.toml | $(BIN)/python
	@echo "installing eas-engine and what its tests need into $(VENV)"
	@$(PIP) --require-hashes -r requirements/dev.txt
	@$(INSTALL_SELF)
	@touch $@ $(VENV)/.example

$(VENV)/.extras: requirements/test.txt requirements/torch.txt $(VENV)/.dev
	@echo "installing every extra into $(VENV): 3.6 GB, some minutes"
	@$(PIP) --require-hashes -r requirements/test.txt
	@$(PIP) -r requirements/torch.txt
	@touch $@

$(VENV)/.bench: requirements/bench.txt $(VENV)/.extras
	@$(PIP) --require-hashes -r requirements/bench.txt
	@touch $@

# The vendor's client, which wants an old protobuf. Without it the tests that need it skip, and say so.
CLIENT := $(VENV)-client
$(CLIENT)/.stamp: requirements/vendor-client.txt | $(BIN)/python
	@echo "installing the vendor's client into $(CLIENT)"
	@$(BIN)/python -m venv --clear $(CLIENT)
	@$(CLIENT)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/vendor-client.txt
	@touch $@

.PHONY: client
client:
	@$(MAKE) --no-print-directory $(CLIENT)/.stamp || echo "the vendor's client can't be installed; its tests will skip"

# --- the example ----------------------------------------------------------------------------------------

serve: $(DIGITS)/model/digits.npz ## serve the digits example in the foreground; ARGS="--port 0" are the engine's
	@$(BIN)/python $(DIGITS)/serve.py $(ARGS)

$(DIGITS)/model/digits.npz: $(DIGITS)/train.py | $(VENV)/.example
	@$(BIN)/python $(DIGITS)/train.py

# --- checks ---------------------------------------------------------------------------------------------

test: $(VENV)/.extras packages client ## everything that CI runs; closes with pytest's own last line
	@$(MAKE) --no-print-directory format lint types imports compiled ARGS=
	$(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile $(ARGS)

.PHONY: packages
packages:
	@scripts/debian-packages curl=curl cc=gcc g++=g++ cmake=cmake javac=openjdk-17-jdk-headless chromium=chromium

format: $(VENV)/.dev ## is the code formatted? (`make fix` formats it)
	$(BIN)/ruff format --check

lint: $(VENV)/.dev ## ruff
	$(BIN)/ruff check

types: $(VENV)/.dev ## mypy --strict
	$(BIN)/mypy

imports: $(VENV)/.dev ## who imports whom
	$(BIN)/lint-imports

unit: $(VENV)/.dev ## the tests of single parts; ARGS="-k token" are pytest's
	$(BIN)/pytest tests/unit $(ARGS)

model: $(VENV)/.dev ## the state machines
	$(BIN)/pytest tests/model $(ARGS)

system: $(VENV)/.dev packages client ## real processes
	$(BIN)/pytest tests/system $(ARGS)

# --- the compiled engine --------------------------------------------------------------------------------

# What `pip install .` gives where there is a compiler; beside the sources, which .venv runs, and hiding none of them.
COMPILED := build/compiled
$(COMPILED)/.stamp: $(shell find engine sdk/python processors benchmarks/eas_bench -name '*.py') scripts/compile_wheel.py pyproject.toml | $(VENV)/.dev
	@scripts/debian-packages cc=gcc
	@echo "compiling the engine into $(COMPILED); half a minute"
	@rm -rf $(COMPILED)
	@$(PIP) --no-deps --no-build-isolation --target $(COMPILED) .
	@touch $@

compiled: $(COMPILED)/.stamp packages ## the system tests of the data plane once more, with the engine compiled
	PYTHONPATH=$(CURDIR)/$(COMPILED) $(BIN)/pytest $(addprefix tests/system/test_,http.py hostile.py full.py deadlines.py deaths.py end.py gauges.py batching.py compression.py) tests/system/live $(ARGS)

# --- speed ----------------------------------------------------------------------------------------------

# The measurements themselves come from the checkout, which has the reference servers and the load client beside them.
bench baseline bench-peers gpu-check chaos soak: export PYTHONPATH := $(CURDIR)/benchmarks:$(CURDIR)/$(COMPILED)

bench: $(COMPILED)/.stamp $(VENV)/.bench ## every scenario of benchmarks/scenarios, ten minutes; ARGS="--only W1,W5 --rounds 3" are its own
	@scripts/debian-packages wrk=wrk cc=gcc g++=g++ javac=openjdk-17-jdk-headless
	@$(BIN)/eas-bench scenario $(ARGS)

baseline: $(COMPILED)/.stamp $(VENV)/.bench ## has a ratio become worse since the newest kept result? ARGS="FILE --against FILE" are its own
	@$(BIN)/eas-bench baseline $(ARGS)

.PHONY: bench-tester
bench-tester: export PYTHONPATH := $(CURDIR)/benchmarks:$(CURDIR)/$(COMPILED)
bench-tester: $(COMPILED)/.stamp ## test the load tester: known latencies, wrk beside it, its own limit; ARGS="--json FILE" are its own
	@scripts/debian-packages wrk=wrk
	@$(BIN)/python -m eas_bench.proof $(ARGS)

bench-peers: $(COMPILED)/.stamp $(VENV)/.bench ## other model servers beside ours, 7 GB of them; ARGS="--only mosec,triton" are its own
	@scripts/debian-packages wrk=wrk cc=gcc java=openjdk-17-jdk-headless
	@$(BIN)/eas-bench peers $(ARGS)
	@$(BIN)/eas-bench peers --update-docs $(ARGS)

.PHONY: gpu-check gpu-bundle
gpu-check: $(COMPILED)/.stamp $(VENV)/.extras ## what a card is asked for, in eight minutes; ARGS="--only G1,shares" are its own
	@$(BIN)/eas-bench gpu-check $(ARGS)

gpu-bundle: $(VENV)/.dev ## a folder for a machine with a card and no network; ARGS="FOLDER --python 3.12" are its own
	@$(BIN)/python scripts/gpu_bundle.py $(ARGS)

chaos: $(COMPILED)/.stamp ## kill instances, hang up, send nonsense, and check every answer; ARGS="--minutes 10" are its own
	@$(BIN)/eas-bench chaos $(ARGS)

HOURS ?= 1
soak: $(COMPILED)/.stamp ## updates, canaries, scaling and kills without a pause, for HOURS=1; ARGS="--json FILE" are its own
	@$(BIN)/eas-bench soak --hours $(HOURS) $(ARGS)

# --- the rest -------------------------------------------------------------------------------------------

fix: $(VENV)/.dev ## format, and mend what ruff can mend
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

lock: ## pin the versions of requirements/ anew from pyproject.toml; ARGS=--upgrade takes the newest
	scripts/lock $(ARGS)

image: ## build the container image eas-engine with docker or podman
	@tool=$$(command -v docker || command -v podman) || { echo "neither docker nor podman is installed" >&2; exit 1; }; \
	"$$tool" build --tag eas-engine .

clean: ## remove .venv, caches and the example's model
	rm -rf $(VENV) $(CLIENT) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache $(DIGITS)/model
