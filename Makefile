# Every target has a line of help: `make help`.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# local: the cluster that `make up` builds on this machine. existing: the one of the current kubectl context.
CLUSTER ?= local
IMAGE_REGISTRY ?=
NAMESPACE ?= claims
ACTS ?= a,b,c,d

export PATH := $(PATH):$(CURDIR)/.venv/uv/bin
UV := uv
TESTS := .venv/tests/bin/python
COMMAND := PYTHONPATH=tests/cluster $(TESTS) -m claims_cluster

ENVIRONMENTS := operator runtime feedback training tests
LOCK_operator := operator/requirements-test.lock
LOCK_runtime := runtimes/tabular/requirements-test.lock
LOCK_feedback := runtimes/feedback/requirements-test.lock
LOCK_training := training/requirements-test.lock
LOCK_tests := tests/requirements.lock

##@ Run

.PHONY: demo
demo: platform  ## Show the main job: four rollouts under steady traffic on the local cluster
	PYTHONPATH=tests/demo:tests/cluster:training:runtimes/contract $(TESTS) -m claims_demo --acts $(ACTS)

.PHONY: up
up: environment-tests  ## Bring up a whole Kubernetes on this machine, or mend the one that is there
	$(COMMAND) up

.PHONY: platform
platform: up  ## Build the platform's images where they changed and install its chart
	$(COMMAND) install

.PHONY: down
down: environment-tests  ## End the cluster and leave the machine as it was (built parts stay in the cache)
	$(COMMAND) down

##@ Check

.PHONY: check
check: environments  ## The quick checks: format, lint, types, layers, generated files, chart
	tests/run check

.PHONY: test
test: environments  ## All tests: unit, chart, integration, and end to end on the local cluster
	tests/run check unit cluster chart integration e2e local_cluster

.PHONY: soak
soak: environments  ## What takes too long for every run
	tests/run soak

##@ Develop

.PHONY: environments
environments: $(ENVIRONMENTS:%=environment-%)  ## Make the virtual environments (one for each deployable)

environment-%: .venv/%/.synced
	@:

.PRECIOUS: .venv/%/.synced
.SECONDEXPANSION:
.venv/%/.synced: $$(LOCK_$$*) | uv
	$(UV) venv --quiet --allow-existing --python python3 .venv/$*
	$(UV) pip sync --quiet --python .venv/$*/bin/python --require-hashes $(LOCK_$*)
	@touch $@

.PHONY: uv
uv:
	@command -v uv >/dev/null || { \
		python3 -m venv .venv/uv 2>/dev/null || { apt-get update -q && apt-get install -q -y python3-venv && python3 -m venv .venv/uv; }; \
		.venv/uv/bin/python -m pip install --quiet uv; }

.PHONY: lock
lock: uv  ## Resolve every lock again from the pyproject files
	tests/run lock

.PHONY: format
format: environment-tests  ## Format and mend what ruff can mend
	.venv/tests/bin/ruff check --fix --quiet . ; .venv/tests/bin/ruff format --quiet .

.PHONY: generate
generate: environment-operator  ## Write the generated files again: CRDs, rendered chart
	tests/run generate

.PHONY: help
help:  ## Show this
	@awk 'BEGIN {FS = ":.*  ## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*  ## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
