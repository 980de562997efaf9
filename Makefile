# Everything a new machine needs: `make demo` to see it, `make test` to prove it. `make help` lists the rest.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV ?= .venv
# The first that really runs: a version manager may have names that do not.
PYTHON ?= $(shell for p in python3.12 python3.11 python3; do $$p -c "" 2>/dev/null && { echo $$p; break; }; done)
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
FAULT_LOG := benchmarks/results/faults.jsonl
SOURCES := setup.py constraints.txt $(shell find mmal_msgs -type f -not -path '*/build/*' 2>/dev/null)

# libgl1, libglib2.0-0: OpenCV. portaudio19-dev, g++, python3-dev: PyAudio and the messages are compiled here.
DEBIAN_RUN := python3-venv python3-dev g++ libgl1 libglib2.0-0 libportaudio2 portaudio19-dev
# A browser, a sound server, a system bus and its tools: the tests use the real ones.
DEBIAN_TEST := $(DEBIAN_RUN) chromium dbus pulseaudio pulseaudio-utils libasound2-plugins

.PHONY: help demo test lint audit fuzz bench soak model clean
help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(VENV)/.run  ## install what is needed and play the whole loop with a simulated child (some minutes; Ctrl-C ends it)
	@$(BIN)/mmal demo

test: $(VENV)/.test lint  ## install what the tests need and run them all
	@$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder || { echo "once more, one at a time, those that failed: real radios, sound servers and processes share this machine"; \
	  $(BIN)/python -m pytest --last-failed --last-failed-no-failures none; }

lint: $(VENV)/.test  ## style and types
	@$(BIN)/ruff check mmal_ros mmal_msgs launch test benchmarks setup.py
	@$(BIN)/ruff format --check mmal_ros mmal_msgs launch test benchmarks setup.py
	@$(BIN)/mypy

audit: $(VENV)/.audit/bin/pip-audit  ## known vulnerabilities of what constraints.txt pins (asks pypi.org)
	@$(BIN)/python scripts/audit $<

fuzz: $(VENV)/.test  ## damaged inputs for every reader, MINUTES=10 each, four at a time; and a table of what was found
	@rm -f .cache/fuzz.jsonl
	@MMAL_FUZZ_MINUTES=$(or $(MINUTES),10) nice -n 19 $(BIN)/python -m pytest test/fuzz -q -n 4
	@$(BIN)/python benchmarks/fuzz_table.py .cache/fuzz.jsonl --into docs/reliability.md

bench: $(VENV)/.test  ## measure; prints tables and writes benchmarks/results/*.json
	@for script in benchmarks/bench_*.py; do $(BIN)/python $$script || exit 1; done

soak: $(VENV)/.test  ## provoke all faults many times, run for long, and write docs/reliability.md anew (an hour and a half)
	@rm -f $(FAULT_LOG); mkdir -p $(dir $(FAULT_LOG))
	@trap 'exit 130' INT; export MMAL_FAULT_LOG=$(abspath $(FAULT_LOG)); failed=0; run() { $(BIN)/python "$$@" || failed=1; }; \
	  run -m pytest test/faults -m "soak or not soak"; \
	  run benchmarks/soak_accelerated.py; \
	  run benchmarks/soak_graph.py; \
	  run benchmarks/fault_table.py $(FAULT_LOG) --into docs/reliability.md; \
	  run benchmarks/long_run.py; exit $$failed

model: $(VENV)/.test  ## train models/demo/2 again, on simulated people (about a quarter of an hour)
	@$(BIN)/python -m mmal_ros.training.demo --output models/demo/2

clean:  ## remove what was built and installed here
	rm -rf $(VENV) build .cache *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/.run: $(SOURCES) | $(VENV)/.python
	@./scripts/debian_packages $(DEBIAN_RUN)
	@echo "installing into $(VENV) (about 2.9 GB, a few minutes) ..."
	@$(PIP) -e '.[robot,synthetic,ros,session,review,train]'
	@$(PIP) ./mmal_msgs
	@touch $@

$(VENV)/.test: $(VENV)/.run
	@./scripts/debian_packages $(DEBIAN_TEST)
	@echo "installing what the tests need ..."
	@$(PIP) -e '.[robot,synthetic,ros,session,review,train,test]'
	@touch $@ $(VENV)/.run

# Apart, so that what pip-audit brings along is not audited as if it were ours.
$(VENV)/.audit/bin/pip-audit: | $(VENV)/.python
	@$(BIN)/python -m venv $(VENV)/.audit
	@$(VENV)/.audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' || { \
	  echo "Python 3.11 or 3.12 is needed (found: $$($(PYTHON) --version 2>&1)); name one: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) || { ./scripts/debian_packages python3-venv && $(PYTHON) -m venv $(VENV); }
	@$(BIN)/python -m pip install --quiet --upgrade pip
	@touch $@
