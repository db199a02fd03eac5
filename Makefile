# Shekara: targets for building, trying and testing. `make` alone explains them.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

CLUSTER ?= ## `current` is the cluster of KUBECONFIG, which then takes the place of a kind cluster
DEMO_CLUSTER ?= demo## the name of the demo's kind cluster
TEST_CLUSTER ?= test## the name of the tests' kind cluster
KUBERNETES ?= 1.36## the version of kind clusters, for example 1.33
OLDEST ?= 1.33## the oldest version of Kubernetes that the chart takes
SCENARIO ?= ## the scenarios whose name contains it: make e2e SCENARIO=revocation
JOBS ?= 4## how many scenarios run at once; those that disturb others always run alone
XDG_CACHE_HOME ?= $(HOME)/.cache## everything built or fetched goes to its folder shekara/
FUZZ_SECONDS ?= 60## how long each fuzz target runs
FUZZ ?= ## the fuzz targets, all where none is named: make fuzz FUZZ=http_head
CARGO_TARGET_DIR ?= $(XDG_CACHE_HOME)/shekara/target## where cargo builds
export FUZZ_SECONDS KUBERNETES SCENARIO XDG_CACHE_HOME CARGO_TARGET_DIR

# always the whole workspace with all features, so that dependencies are compiled once and not again for each package
workspace := --workspace --all-features

demo demo-down: export CLUSTER := $(or $(filter current,$(CLUSTER)),$(DEMO_CLUSTER))
test test-long test-cluster e2e e2e-long cluster-up cluster-down: export CLUSTER := $(or $(CLUSTER),$(TEST_CLUSTER))

.PHONY: help
help: ## Explain every target and variable
	@echo "Shekara keeps biometric and vehicle data inside the border. Targets:"
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "Variables, with their defaults:"
	@awk -F ' *\\?= *| *## *' '/^[A-Z_]+ \?= .*## / { printf "  %-16s %s%s\n", $$1, $$3, $$2 == "" ? "" : " [" $$2 "]" }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## Bring up a two-node cluster, install Shekara, apply examples/, let real clients try; the cluster stays up
	@tools/prerequisites
	e2e/images build
	e2e/cluster up
	e2e/cluster install
	cargo build --quiet $(workspace) --bin demo
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

.PHONY: test-long
test-long: ## Prove what takes long: a million generated worlds and edits, thousands of flows, and the long scenarios on a cluster of their own: more than an hour
	PROPTEST_CASES=1000000 cargo test --release --package shekara-crds --all-features --lib promise -- --nocapture
	cargo test $(workspace) --test namespaces_long -- --test-threads=1 --nocapture
	@$(MAKE) e2e-long
	e2e/cluster down

.PHONY: fuzz
fuzz: ## Fuzz the parsers that read what others wrote, FUZZ_SECONDS each
	fuzz/run $(FUZZ)

.PHONY: coverage
coverage: ## Which lines of the sidecar no test reaches that runs without a cluster
	tools/coverage

.PHONY: unit
unit: ## Unit and property tests, the command line's answers, and the sidecar as a real process in network namespaces
	@tools/prerequisites
	cargo test --quiet $(workspace) --no-run
	cargo test --quiet $(workspace) --lib --bins
	python3 -m unittest discover --quiet --start-directory e2e/world/server
	cargo test --quiet $(workspace) --test commands
	@# they wait for the kernel and for each other most of the time
	cargo test $(workspace) --test namespaces -- --test-threads=4

.PHONY: generated
generated: ## Fail if generated files (crds/yaml, the chart's copy, docs/reference) differ from the types
	cargo build --quiet $(workspace) --bin generate
	$(CARGO_TARGET_DIR)/debug/generate --check

.PHONY: generate
generate: ## Write the generated files anew, the table of values in the README of the chart too
	cargo build --quiet $(workspace) --bin generate
	$(CARGO_TARGET_DIR)/debug/generate
	charts/readme.py

.PHONY: chart
chart: ## Render the chart with several values, validate schemas of values and of what is rendered
	@tools/prerequisites
	charts/lint

.PHONY: lint
lint: ## Format, clippy with warnings denied, scripts, documents, dependencies, generated files, chart
	@tools/prerequisites
	cargo fmt --check
	cargo clippy $(workspace) --all-targets -- --deny warnings
	cargo clippy $(workspace) --test namespaces_long --test scenarios --test scenarios_alone --test scenarios_long -- --deny warnings
	tools/lint-scripts
	tools/lint-documents
	tools/lint-dependencies
	@$(MAKE) generated
	@$(MAKE) chart

.PHONY: test-cluster
test-cluster: ## Every scenario on a real cluster of its own, which is removed afterwards
	@$(MAKE) e2e
	e2e/cluster down

.PHONY: e2e
e2e: cluster-up ## Scenarios on the test cluster, which stays up: make e2e SCENARIO=revocation
	cargo test --quiet $(workspace) --test scenarios --test scenarios_alone --no-run
	cargo build --quiet $(workspace) --bin kubectl-shekara
	CARGO_NET_OFFLINE=true e2e/cluster exec cargo test $(workspace) --test scenarios -- --test-threads=$(JOBS) $(SCENARIO)
	CARGO_NET_OFFLINE=true e2e/cluster exec cargo test $(workspace) --test scenarios_alone -- --test-threads=1 $(SCENARIO)

.PHONY: e2e-long
e2e-long: long-images cluster-up ## Long scenarios on the test cluster, which stays up: make e2e-long SCENARIO=policy_change
	e2e/cluster load moreclients
	cargo test --quiet $(workspace) --test scenarios_long --no-run
	CARGO_NET_OFFLINE=true e2e/cluster exec cargo test $(workspace) --test scenarios_long -- --test-threads=2 $(SCENARIO)

.PHONY: e2e-oldest
e2e-oldest: ## Every scenario of `make e2e` on the oldest Kubernetes, on a cluster of its own, which is removed afterwards
	@$(MAKE) e2e CLUSTER=oldest KUBERNETES=$(OLDEST)
	CLUSTER=oldest e2e/cluster down

.PHONY: long-images
long-images: ## Build the images that the long scenarios alone need
	@tools/prerequisites
	e2e/images build moreclients

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
