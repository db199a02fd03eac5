# Shekara: targets for building, trying and testing. `make` alone explains them.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

export XDG_CACHE_HOME ?= $(HOME)/.cache
cache := $(XDG_CACHE_HOME)/shekara
export CARGO_TARGET_DIR ?= $(cache)/target
export KUBERNETES ?= 1.36
export SCENARIO ?=

DEMO_CLUSTER ?= demo
TEST_CLUSTER ?= test
# how many scenarios run at once; those that disturb others always run alone
JOBS ?= 4

# CLUSTER=current takes the cluster that KUBECONFIG names, in place of the two above
demo demo-down: export CLUSTER := $(or $(filter current,$(CLUSTER)),$(DEMO_CLUSTER))
test test-cluster e2e e2e-alone cluster-up cluster-down: export CLUSTER := $(or $(CLUSTER),$(TEST_CLUSTER))

.PHONY: help
help: ## Explain every target
	@echo "Shekara keeps biometric and vehicle data inside the border. Targets:"
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "Variables: CLUSTER=current (the cluster of KUBECONFIG instead of a kind cluster), KUBERNETES=1.33 (another"
	@echo "version), SCENARIO=name (scenarios whose name contains it), JOBS=2 (scenarios at once)."

.PHONY: demo
demo: ## Bring up a two-node cluster, install Shekara, apply examples/, let real clients try; the cluster stays up
	@tools/prerequisites
	e2e/images build
	e2e/cluster up
	e2e/cluster install
	cargo build --quiet --package shekara-e2e --bin demo
	e2e/cluster exec $(CARGO_TARGET_DIR)/debug/demo
	@echo "The cluster stays up. Look around with: e2e/cluster exec kubectl get shekara -A (CLUSTER=$(CLUSTER)); remove it with: make demo-down"

.PHONY: demo-down
demo-down: ## Remove every trace of the demo
	e2e/cluster down

.PHONY: test
test: ## Prove everything, fastest first: unit, property and namespace tests, generated files, chart, scenarios
	@$(MAKE) unit
	@$(MAKE) generated
	@$(MAKE) chart
	@$(MAKE) test-cluster

.PHONY: unit
unit: ## Unit and property tests, and the sidecar as a real process in network namespaces
	@tools/prerequisites
	cargo test --quiet --workspace --all-features --no-run
	cargo test --quiet --workspace --all-features --lib --bins
	cargo test --package shekara-sidecar --test namespaces

.PHONY: generated
generated: ## Fail if generated files (crds/yaml, the chart's copy, docs/reference) differ from the types
	cargo run --quiet --package shekara-crds --bin generate -- --check

.PHONY: generate
generate: ## Write the generated files anew
	cargo run --quiet --package shekara-crds --bin generate

.PHONY: chart
chart: ## Render the chart with several values, validate schemas of values and of what is rendered
	charts/lint

.PHONY: lint
lint: ## Format, clippy with warnings denied, shell scripts, dependencies, generated files, chart
	cargo fmt --check
	cargo clippy --workspace --all-features --all-targets -- --deny warnings
	tools/lint-scripts
	tools/lint-dependencies
	@$(MAKE) generated
	@$(MAKE) chart

.PHONY: test-cluster
test-cluster: ## Every scenario on a real cluster of its own, which is removed afterwards
	@$(MAKE) e2e
	e2e/cluster down

.PHONY: e2e
e2e: cluster-up ## Scenarios on the test cluster, which stays up: make e2e SCENARIO=revocation
	cargo test --quiet --package shekara-e2e --test scenarios --test scenarios_alone --no-run
	CARGO_NET_OFFLINE=true e2e/cluster exec cargo test --package shekara-e2e --test scenarios -- --test-threads=$(JOBS) $(SCENARIO)
	CARGO_NET_OFFLINE=true e2e/cluster exec cargo test --package shekara-e2e --test scenarios_alone -- --test-threads=1 $(SCENARIO)

.PHONY: cluster-up
cluster-up: ## The test cluster with images loaded and Shekara installed
	@tools/prerequisites
	e2e/images build
	e2e/cluster up
	e2e/cluster install

.PHONY: cluster-down
cluster-down: ## Remove the test cluster
	e2e/cluster down

.PHONY: images
images: ## Build the images and print their sizes
	e2e/images build
