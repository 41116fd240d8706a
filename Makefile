.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
SERVING := .venv/.serving
DEVELOPING := .venv/.developing
BUILD := .cache/build
BUILD_STAMP := $(BUILD)/.installed
SLIM := .cache/slim
SLIM_STAMP := $(SLIM)/.installed
TOOLS := .cache/tools
TOOLS_STAMP := $(TOOLS)/.installed

.PHONY: native help install serve slim test test-fast check coverage reliability gpu-check format docs docs-site
.PHONY: dist publish lock audit sbom pin-images clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

install: $(DEVELOPING) ## create .venv and install all packages for development

$(SERVING): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[ingest]'
	touch $(SERVING)

$(DEVELOPING): $(SERVING) client/pyproject.toml
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]' --editable client
	touch $(DEVELOPING)

serve: $(SERVING) ## start the service on 127.0.0.1:8000; installs only the packages that serving needs
	$(BIN)/rerankd serve

$(SLIM_STAMP): requirements-slim.lock pyproject.toml
	$(PYTHON) -m venv --clear $(SLIM)
	$(SLIM)/bin/pip install --quiet --require-hashes --no-deps --requirement requirements-slim.lock
	$(SLIM)/bin/pip install --quiet --no-deps .
	touch $(SLIM_STAMP)

slim: $(SLIM_STAMP) ## create .cache/slim, an environment without torch, and measure its size and memory
	$(BIN)/python -m tests.deploy.slim

test: check ## run all checks that CI runs

test-fast: install ## run the tests that need no network, other processes, servers or models
	$(BIN)/pytest --quiet -p tests.fast -p no:schemathesis

# These tests measure time or memory, or need both processors: nothing else runs meanwhile.
ALONE := deploy/test_ray.py loadtest reliability
check: install ## check format, lint, types and tests
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/pytest --numprocesses 2 --dist loadfile $(ALONE:%=--ignore=tests/%)
	$(BIN)/pytest $(ALONE:%=tests/%)

# These tests run the service in other processes, or depend on time, which measuring slows down.
UNMEASURED := clients deploy live loadtest reliability servers ui
coverage: install ## measure the coverage of the tests in this process; fails below the minimum in pyproject.toml
	$(BIN)/coverage run -m pytest $(UNMEASURED:%=--ignore=tests/%)
	$(BIN)/coverage report

SEED ?= 1
reliability: install ## run the long checks (some hours): docs/explanation/reliability.md
	$(BIN)/python -m tests.reliability.simulate --seed $(SEED) --count 10000000
	$(BIN)/python -m tests.reliability.mutation
	$(BIN)/python -m tests.reliability.mutants
	$(BIN)/python -m tests.reliability.fuzz --seed $(SEED)
	$(BIN)/python -m tests.reliability.crash --seed $(SEED) --count 300
	$(BIN)/python -m tests.reliability.egress
	$(BIN)/python -m tests.reliability.bulk --seed $(SEED)
	$(BIN)/python -m tests.reliability.history --seed $(SEED)
	$(BIN)/python -m tests.reliability.rolling
	$(BIN)/python -m tests.deploy.ray
	$(BIN)/python -m loadtest.metastability
	$(BIN)/python -m loadtest.overload
	$(BIN)/python -m loadtest.fleet --check
	$(BIN)/python -m tests.reliability.soak --seed $(SEED)

gpu-check: install ## measure on a machine with a GPU (ten minutes); GPU='--device cpu --small' rehearses it
	$(BIN)/python -m tests.gpu $(GPU)

format: install ## fix format and lint
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

native: install ## compile the engine `native` again, after a change of its source
	$(BIN)/python app/engines/native/build.py

docs: install ## generate the parts of docs/reference and of the chart that come from the code
	$(BIN)/python -m tests.docs.reference
	$(BIN)/python -m deploy.helm.generate

docs-site: install ## build the site into .cache/site; a broken link is an error
	$(BIN)/mkdocs build --strict

$(TOOLS_STAMP): requirements-tools.lock
	$(PYTHON) -m venv --clear $(TOOLS)
	$(TOOLS)/bin/pip install --quiet --require-hashes --no-deps --requirement requirements-tools.lock
	touch $(TOOLS_STAMP)

$(BUILD_STAMP): requirements-build.lock
	$(PYTHON) -m venv --clear $(BUILD)
	$(BUILD)/bin/pip install --quiet --require-hashes --no-deps --requirement requirements-build.lock
	touch $(BUILD_STAMP)

dist: $(BUILD_STAMP) ## build the wheels and the source distributions of service and client into dist/
	$(BUILD)/bin/python -m hatchling build
	HATCH_BUILD_NO_HOOKS=true $(BUILD)/bin/python -m hatchling build --target wheel
	cd client && ../$(BUILD)/bin/python -m hatchling build --directory ../dist

publish: $(BUILD_STAMP) ## publish the files in dist/, as a trusted publisher
	$(BUILD)/bin/uv publish --trusted-publishing always dist/*.whl dist/*.tar.gz

lock: $(TOOLS_STAMP) ## write constraints.txt and requirements*.lock; UPGRADE=1 selects the newest versions
	$(TOOLS)/bin/python deploy/lock.py $(if $(UPGRADE),--upgrade)

audit: $(TOOLS_STAMP) ## check the locked packages for known vulnerabilities
	$(TOOLS)/bin/python deploy/audit.py

sbom: $(TOOLS_STAMP) ## write dist/rerankd.cdx.json, the bill of materials of a release
	$(TOOLS)/bin/python deploy/sbom.py

pin-images: ## update the digests of third-party images
	$(PYTHON) deploy/pin_images.py

clean: ## remove the environment and all caches
	rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
