.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
BUILD := .cache/build
BUILD_STAMP := $(BUILD)/.installed
TOOLS := .cache/tools
TOOLS_STAMP := $(TOOLS)/.installed

.PHONY: help install serve test check format dist publish lock audit sbom pin-images clean

help: ## show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

install: $(STAMP) ## make .venv and install everything into it

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $(STAMP)

serve: install ## start the service on 127.0.0.1:8000
	$(BIN)/rerankd serve

test: check ## everything that CI runs

check: install ## format, lint, types and tests
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/pytest

format: install ## mend format and lint
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

$(TOOLS_STAMP): requirements-tools.lock
	$(PYTHON) -m venv --clear $(TOOLS)
	$(TOOLS)/bin/pip install --quiet --require-hashes --no-deps --requirement requirements-tools.lock
	touch $(TOOLS_STAMP)

$(BUILD_STAMP): requirements-build.lock
	$(PYTHON) -m venv --clear $(BUILD)
	$(BUILD)/bin/pip install --quiet --require-hashes --no-deps --requirement requirements-build.lock
	touch $(BUILD_STAMP)

dist: $(BUILD_STAMP) ## build the wheel and the source distribution into dist/
	$(BUILD)/bin/python -m hatchling build

publish: $(BUILD_STAMP) ## publish what is in dist/, as a trusted publisher
	$(BUILD)/bin/uv publish --trusted-publishing always dist/*.whl dist/*.tar.gz

lock: $(TOOLS_STAMP) ## write requirements*.lock from pyproject.toml and constraints.txt
	$(TOOLS)/bin/python deploy/lock.py

audit: $(TOOLS_STAMP) ## look the locked packages up among known vulnerabilities
	$(TOOLS)/bin/python deploy/audit.py

sbom: $(TOOLS_STAMP) ## write dist/rerankd.cdx.json, what a release is made of
	$(TOOLS)/bin/python deploy/sbom.py

pin-images: ## write the digests of the images that others make
	$(PYTHON) deploy/pin_images.py

clean: ## remove the environment and all caches
	rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
