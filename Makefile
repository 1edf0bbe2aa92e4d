# Everything starts here. `make help` lists it; every target sets up what it needs first, on a machine with Python 3.11 or newer, make and git.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

UV_VERSION := 0.13.9
UV := .uv/bin/uv
READY := .venv/.ready
BIN := .venv/bin
ARGS ?=
N ?= 100000

# The console is built by the Node of a wheel; what npm starts looks for `node` on the path.
CONSOLE := service/ui/dist/.built
WITH_NODE := export PATH="$(CURDIR)/$(BIN):$$PATH" NPM_CONFIG_UPDATE_NOTIFIER=false
NPM := $(BIN)/npm --prefix service/ui
CONSOLE_PACKAGES := service/ui/node_modules/.installed
# Folders too: one that a file went from is newer. The types of what the service answers are the TypeScript client's.
CONSOLE_SOURCES := $(shell find service/ui -mindepth 1 \( -name node_modules -o -name dist \) -prune -o -print) clients/typescript/src/schema.ts

# Twice as many test workers as there are cores, since half of a test is waiting for other processes and for time to pass; four at most,
# which the one PostgreSQL of the run serves well.
WORKERS ?= $(shell echo $$(( $$(nproc 2>/dev/null || echo 2) * 2 )))

# The newest Python on this machine that is new enough.
FIND_PYTHON := for name in python3.14 python3.13 python3.12 python3.11 python3; do \
	if "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo "$$name"; exit; fi; done; \
	echo "Python 3.11 or newer is needed" >&2; exit 1

.PHONY: help setup demo serve test test-pretix check format bench bulk sweep chaos guards openapi clients image clean

help: ## this list
	@awk 'BEGIN {FS = ":.*## "} \
	  /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo; echo "ARGS=... passes arguments on: make demo ARGS=--once, make test ARGS='-k refund'"

##@ Use it
setup: $(READY) $(CONSOLE) ## install everything exactly as the lock files say, build the console (quick when nothing changed)

demo: $(READY) $(CONSOLE) ## a live show with real problems being resolved; ARGS=--once plays and exits
	@$(BIN)/makegood demo $(ARGS)

serve: $(READY) $(CONSOLE) ## the service with its own PostgreSQL in .data
	@$(BIN)/makegood serve --embedded $(ARGS)

##@ Prove it
test: $(READY) $(CONSOLE) ## all tests, against a real PostgreSQL and, where there is one, in a real browser
	@$(BIN)/python -m tests.console.browser
	$(BIN)/pytest -n $(WORKERS) --maxprocesses 4 --dist worksteal $(ARGS)

check: $(READY) $(CONSOLE_PACKAGES) ## style, types, import rules, lock file: all of them, also when one fails
	@failed=0; $(WITH_NODE); run() { echo "$$*"; "$$@" || failed=1; }; \
	run $(BIN)/ruff check --quiet .; \
	run $(BIN)/ruff format --check --quiet .; \
	run $(BIN)/mypy; \
	run $(BIN)/lint-imports --no-logo; \
	run $(NPM) run check --silent; \
	run $(UV) lock --check --quiet; \
	exit $$failed

bench: $(READY) $(CONSOLE) ## throughput and latency as JSON lines
	@$(BIN)/python -m tests.bench $(ARGS)

bulk: $(READY) ## N refunds that are due at once (N=100000): memory, pace, order, a killed worker
	@$(BIN)/python -m tests.bulk --operations $(N) $(ARGS)

sweep: $(READY) ## every imported order against every problem
	@$(BIN)/python -m tests.sweep $(ARGS)

chaos: $(READY) ## 2,000 refunds while everything fails; ARGS='--seed N' plays it again; MINUTES=60 plays the model first
	@$(if $(MINUTES),$(BIN)/python -m tests.model --minutes $(MINUTES) --processes 2)
	@$(BIN)/python -m tests.chaos $(ARGS)

guards: $(READY) ## breaks each guard of the money on purpose: who notices
	@$(BIN)/python -m tests.guards $(ARGS)

test-pretix: $(READY) ## the pretix integration against a real pretix server of its own; the first time takes minutes
	@$(BIN)/python -m tests.pretix $(ARGS)

##@ Work on it
format: $(READY) ## put the code in shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

openapi: $(READY) ## write the HTTP contract anew, from the code
	$(BIN)/makegood openapi > openapi/openapi.json.new
	mv openapi/openapi.json.new openapi/openapi.json
	$(BIN)/makegood openapi --platform --out openapi/platform.json

clients: openapi ## write the contract and the typed parts of both clients anew
	$(BIN)/python clients/generate.py

image: ## a container image, with whichever of docker, podman and buildah is here
	@tool=$$(command -v docker || command -v podman || command -v buildah) \
	  || { echo "docker, podman or buildah is needed" >&2; exit 1; }; \
	"$$tool" build -t makegood:latest . $(ARGS)

clean: ## remove what was installed and cached; data in .data stays
	rm -rf .venv .uv .pretix-venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist service/ui/node_modules service/ui/dist

# uv in a folder of its own, so that neither the machine nor .venv needs it.
$(UV): Makefile
	@python=$$($(FIND_PYTHON)); \
	"$$python" -m venv --clear .uv || { echo "the venv module is needed (Debian: apt install python3-venv)" >&2; exit 1; }; \
	.uv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@touch $(UV)

$(READY): $(UV) pyproject.toml uv.lock
	@python=$$($(FIND_PYTHON)); \
	$(UV) sync --locked --no-python-downloads --python "$$python"
	@touch $(READY)

$(CONSOLE_PACKAGES): service/ui/package.json service/ui/package-lock.json | $(READY)
	@$(WITH_NODE); $(NPM) ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

# The builder empties dist/ first, so a build that fails leaves no mark.
$(CONSOLE): $(CONSOLE_PACKAGES) $(CONSOLE_SOURCES)
	@$(WITH_NODE); $(NPM) run build --silent
	@touch $@
