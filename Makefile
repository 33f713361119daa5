# Every target has a line of help: `make help`.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# local: the cluster that `make up` builds on this machine. existing: the one of the current kubectl context, which
# KUBE_CONTEXT has to name. It pulls from IMAGE_REGISTRY (host:port/folder; IMAGE_REGISTRY_INSECURE=1: plain HTTP).
CLUSTER ?= local
IMAGE_REGISTRY ?=
IMAGE_REGISTRY_INSECURE ?=
KUBE_CONTEXT ?=
# Files of values for the chart on an existing cluster.
HELM_VALUES ?=
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

DEMO := PYTHONPATH=tests/demo:tests/cluster:training:runtimes/contract $(TESTS) -m claims_demo

ifeq ($(CLUSTER),local)

.PHONY: demo
demo: platform  ## Show the main job: four rollouts under steady traffic on the local cluster
	$(DEMO) --acts $(ACTS)

.PHONY: platform
platform: up  ## Build the platform's images where they changed and install its chart
	$(COMMAND) install

else ifeq ($(CLUSTER),existing)

INSTALL = $(COMMAND) install --existing --context '$(KUBE_CONTEXT)' --registry '$(IMAGE_REGISTRY)' \
	$(if $(filter 1,$(IMAGE_REGISTRY_INSECURE)),--insecure-registry) $(HELM_VALUES:%=--values '%')

.PHONY: demo
demo: environment-tests
	@for part in GATEWAY PROMETHEUS MLFLOW FEEDBACK; do \
		name=CLAIMS_$${part}_URL; \
		[ -n "$${!name:-}" ] || { echo "$$name is not set. Set it to where that answers, as this machine sees it" \
			"(\`make platform CLUSTER=existing ...\` installs without playing)." >&2; exit 2; }; \
	done
	@lines=$$($(INSTALL)); eval "$$lines"; $(DEMO) --acts $(ACTS)

.PHONY: platform
platform: environment-tests
	$(INSTALL)

else
$(error CLUSTER is "$(CLUSTER)"; write CLUSTER=local or CLUSTER=existing)
endif

.PHONY: up
up: environment-tests  ## Bring up a whole Kubernetes on this machine, or mend the one that is there
	$(COMMAND) up

.PHONY: down
down: environment-tests  ## End the cluster and leave the machine as it was (built parts stay in the cache)
	$(COMMAND) down

##@ Check

.PHONY: check
check: environments  ## The quick checks: format, lint, types, layers, generated files, chart
	tests/run check

.PHONY: test
test: environments  ## All tests: unit, chart, integration, and end to end on the local cluster
	tests/run check unit bench cluster chart integration e2e local_cluster

.PHONY: soak
soak: environments  ## What takes too long for every run
	tests/run soak

##@ Measure

# Options of one of them: make bench-decisions BENCH="--scenario equal --runs 500 --processes 2"
BENCH ?=

.PHONY: bench
bench: bench-decisions bench-feedback  ## Measure everything (an hour or more)

.PHONY: bench-decisions
bench-decisions: environment-tests  ## Simulate how often rollouts end wrongly, by the shipped code (docs/decisions.md)
	PYTHONPATH=tests/bench:operator:runtimes/contract $(TESTS) -m claims_decisions $(BENCH)

.PHONY: bench-feedback
bench-feedback: environment-feedback  ## Measure how fast the feedback service stores (docs/reference/feedback-storage.md)
	PYTHONPATH=tests:tests/bench:runtimes/contract:runtimes/feedback .venv/feedback/bin/python -m feedback $(BENCH)

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
		.venv/uv/bin/python -m pip install --quiet uv==0.13.8; }

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
