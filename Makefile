# All that a person or CI runs here. `make` alone prints the targets.
#
# Two stamps in .venv say what is installed: .runtime (requirements.lock and Timeball itself: all that
# `make up` needs) and .dev (requirements-dev.lock besides). Neither is made again until its lock changes.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check install --quiet --no-compile
RUNTIME := $(VENV)/.runtime
DEV := $(VENV)/.dev
UV_VERSION := 0.13.9
LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-emit-find-links --custom-compile-command "make lock"

# What may be given on the command line: make test T=tests/unit ARGS="-x -k cron"; make up ARGS="--port 9000"
PYTHON ?=
T ?=
ARGS ?=
UPGRADE ?=
SECONDS ?= 60

# What `make test` leaves to targets of their own.
MARKS := not faults and not soak

# CI runs everything or fails: a skipped test counts as a failed one.
NOSKIP := $(if $(filter true,$(CI)),-p tests.noskip)

.PHONY: help
help: ## Print this list
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: install
install: $(DEV) ## Install everything, for running and for working on it, into .venv

.PHONY: extras
extras: $(RUNTIME) ## Install what traces (otel) and alerts by mail and Slack (alerts) need
	@$(PIP) --no-deps --require-hashes -r requirements-extras.lock

.PHONY: up
up: $(RUNTIME) ## Run all of Timeball on this machine; Ctrl-C ends it
	@exec $(VENV)/bin/timeball up $(ARGS)

.PHONY: test
test: $(DEV) ## Run the tests: make test T=tests/unit ARGS="-x"
	@$(PY) -m pytest $(NOSKIP) -n 3 --dist loadfile -m "$(MARKS)" $(ARGS) $(T)

.PHONY: check
check: ## Check format, lint, types, layers, Lua, OpenAPI, the committed tree, the installation
	@$(MAKE) --no-print-directory --keep-going \
		check-format check-lint check-types check-layers check-lua check-reference check-openapi check-tree check-installed

.PHONY: check-format check-lint check-types check-layers check-lua check-reference check-openapi check-tree check-installed
check-format: $(DEV)
	$(VENV)/bin/ruff format --check .
check-lint: $(DEV)
	$(VENV)/bin/ruff check .
check-types: $(DEV)
	$(VENV)/bin/mypy timeball api workers beat tools deploy tests/noskip.py
check-layers: $(DEV)
	$(VENV)/bin/lint-imports
check-lua: $(DEV)
	$(PY) -m tools.lint_lua timeball/store/lua
check-openapi: $(DEV)
	$(PY) -m api.openapi --check docs/openapi
check-reference: $(DEV)
	$(PY) -m tools.reference --check
check-tree: $(DEV)
	$(PY) -m tools.check_tree
check-installed: $(DEV)
	$(PY) -m pip check

.PHONY: fmt
fmt: $(DEV) ## Format the code and mend what can be mended
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

.PHONY: faults
faults: $(DEV) ## Kill and freeze real processes under load; nothing may be lost
	@$(PY) -m pytest -m faults $(ARGS) $(T)

.PHONY: soak
soak: $(DEV) ## Run the tests that take many minutes
	@$(PY) -m pytest -m soak --timeout 1800 $(ARGS) $(T)

.PHONY: fuzz
fuzz: $(DEV) ## Fuzz what reads URLs, rules, durations and headers: make fuzz SECONDS=600
	@$(PY) -m tests.fuzz $(SECONDS) build/fuzz

.PHONY: audit
audit: $(DEV) ## Ask an advisory service for known weaknesses of what the locks hold; needs the network
	@for lock in requirements*.lock; do \
		echo "$$lock" && $(VENV)/bin/pip-audit --strict --require-hashes --disable-pip -r $$lock || exit 1; done

.PHONY: sbom
sbom: $(RUNTIME) $(DEV) ## Write what the product consists of, as CycloneDX, into build/sbom.json
	@mkdir -p build && $(VENV)/bin/cyclonedx-py requirements requirements.lock --pyproject pyproject.toml \
		--output-reproducible --of JSON --spec-version 1.6 -o build/sbom.json && echo "build/sbom.json is written"

.PHONY: bench
bench: $(DEV) ## Measure against plain Celery and requests: make bench ARGS="--quick drain"
	@$(PY) -m bench.run $(ARGS)

.PHONY: openapi
openapi: $(DEV) ## Write the OpenAPI documents into docs/openapi
	@$(PY) -m api.openapi docs/openapi

.PHONY: reference
reference: $(DEV) ## Write the pages of docs/reference that the code tells
	@$(PY) -m tools.reference

.PHONY: docs
docs: $(DEV) ## Build the documentation into build/site
	@NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict --quiet

.PHONY: screenshots
screenshots: $(DEV) ## Picture every page of the dashboard, into build/screenshots
	@$(PY) -m tests.dashboard.screenshots build/screenshots

.PHONY: lock
lock: ## Write the locks anew from requirements*.txt; UPGRADE=1 takes newer releases
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && python=$$(sh tools/find_python.sh $(PYTHON)) && \
	$$python -m venv "$$dir" && "$$dir/bin/pip" install --quiet uv==$(UV_VERSION) && PATH="$$dir/bin:$$PATH" && \
	echo 'setuptools>=80' | $(LOCK) $(if $(UPGRADE),--upgrade) requirements.txt - -o requirements.lock && \
	$(LOCK) $(if $(UPGRADE),--upgrade) -c requirements.lock requirements-otel.txt requirements-alerts.txt \
		-o requirements-extras.lock && \
	$(LOCK) $(if $(UPGRADE),--upgrade) -c requirements.lock -c requirements-extras.lock requirements-dev.txt \
		-o requirements-dev.lock

# pip would compile on one core and only as asked by the environment; compileall uses them all, and the
# processes of `make up` start three times as fast for it.
COMPILE := $(PY) -m compileall -q -j 0 $(VENV)/lib >/dev/null || true

$(PY):
	@python=$$(sh tools/find_python.sh $(PYTHON)) && echo "Making $(VENV) with $$($$python --version)" && \
	$$python -m venv $(VENV)

$(RUNTIME): requirements.lock pyproject.toml | $(PY)
	@echo "Installing what Timeball needs to run"
	@$(PIP) --no-deps --require-hashes -r requirements.lock
	@$(PIP) --no-deps --no-build-isolation --editable .
	@$(COMPILE)
	@touch $@

$(DEV): requirements-dev.lock $(RUNTIME)
	@echo "Installing what the tests and checks need"
	@$(PIP) --no-deps --require-hashes -r requirements-dev.lock
	@$(COMPILE)
	@touch $@
