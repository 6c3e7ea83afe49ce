# Everything runs in .venv, made here with the versions of constraints.txt.
# PYTHON=python3.12 make ... takes another interpreter for it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
BENCH_INSTALLED := $(VENV)/.installed-bench

TEST_PROCESSES := 2

AUDITOR := pip-audit==2.10.1

DEMO := build/demo
DEMO_MODEL := models/facades-resunet
DEMO_LABELS := $(DEMO_MODEL)/labels
DEMO_SPEEDUP := 2
DEMO_BUDGET := 3m

.PHONY: demo test lint audit site reference bench

# From a trained generator to a smaller one: 12 minutes at most on 2 cores, install included.
demo: $(INSTALLED)
	rm -rf $(DEMO) && mkdir -p $(DEMO)
	$(BIN)/decig profile $(DEMO_MODEL) -o $(DEMO)/table.json
	$(BIN)/decig compress $(DEMO_MODEL) --profile $(DEMO)/table.json --data $(DEMO_LABELS)/train \
	    --target-speedup $(DEMO_SPEEDUP) --budget $(DEMO_BUDGET) --output-dir $(DEMO)/run
	$(BIN)/decig export $(DEMO)/run -o $(DEMO)/small.onnx
	$(BIN)/decig check $(DEMO)/small.onnx --reference $(DEMO_MODEL) --data $(DEMO_LABELS)/val \
	    --grid $(DEMO)/grid.png
	@echo "Smaller model: $(DEMO)/small.onnx   Pictures: $(DEMO)/grid.png   Report: $(DEMO)/run/report.html"

# Two files of tests at a time; one file stays in one process.
test: $(INSTALLED)
	$(BIN)/pytest -n $(TEST_PROCESSES) --dist loadfile

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	cd benchmarks && $(abspath $(BIN))/mypy --config-file ../setup.cfg --no-warn-return-any .
	$(BIN)/lint-imports --no-logo

# Known vulnerabilities in the versions of constraints.txt, from a service in the network.
audit: $(INSTALLED)
	$(BIN)/pip install --quiet -c constraints.txt $(AUDITOR)
	$(BIN)/pip-audit --strict --requirement constraints.txt --no-deps --disable-pip || { \
	    echo 'make audit: a version is vulnerable, or the service of pip-audit cannot be reached' >&2; exit 1; }

# The pages of docs/ as a web site, in build/site.
site: $(INSTALLED)
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going -c docs/site . build/site
	@echo "Site: build/site/index.html"

# docs/commands.md and the JSON Schemas, from the code.
reference: $(INSTALLED)
	$(BIN)/python -m tests.docs.generate

# Hours, on a quiet machine.
bench: $(BENCH_INSTALLED)
	$(BIN)/python benchmarks/main_job.py --out runs/main_job

$(INSTALLED): setup.cfg constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

$(BENCH_INSTALLED): $(INSTALLED)
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev,bench]'
	touch $@
