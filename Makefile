# Every target that needs more than Go installs it first (Debian, Ubuntu).
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

GO ?= go
# A static binary, the same with and without a C compiler on the machine.
export CGO_ENABLED := 0
LINTER := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
# KEEP=1 leaves the demonstration running.
KEEP ?=
# With CI=true a test that is skipped fails the run.
CI ?=
FAIL_ON_SKIP := $(if $(CI),-fail-on-skip)
# Tests with networks of their own run after the others and one package at a time,
# because they measure time. They wait more than they work.
NETWORK_TESTS := ./test/scenario ./test/faults
UNIT_TESTS = $$($(GO) list ./... | grep -vE '/test/(scenario|faults)$$|/test/(vm|interop|peer/frr|peer/gobgpd|peer/exabgp)(/|$$)')
# With strangers: each "--" begins a run of go test. First what has a package of its
# own, then the scenarios with others' route reflectors, then with others' daemons on
# the PEs, then with both.
REFLECTED := TestRouteReflector|TestReflectorRestarts|TestWorkerDies|TestReflectedRoutes|TestReflectorLimits|TestFiftyPseudowires
OUTSIDE := TestRouteReflector|TestReflectedRoutes|TestWorkerDies|TestBGPStops|TestReflectorRestarts|TestOneOfTwoReflectors|TestAgentKilled|TestFallbackAndReturn|TestFiftyPseudowires
SCENARIO := -count=1 -parallel 4 -timeout 15m ./test/scenario
INTEROP_TESTS := \
  -- -count=1 -p 1 -parallel 4 -timeout 30m ./test/vm/... ./test/interop/... ./test/peer/frr ./test/peer/gobgpd ./test/peer/exabgp \
  -- $(SCENARIO) -run '^($(REFLECTED))$$' -args -reflector=frr \
  -- $(SCENARIO) -run '^($(REFLECTED))$$' -args -reflector=gobgpd \
  -- $(SCENARIO) -run '^TestTwoReflectors$$' -args -reflector=gobgpd,frr \
  -- $(SCENARIO) -run '^($(OUTSIDE)|TestProductionCapabilities|TestBlocked)$$' -args -bgp=gobgpd \
  -- $(SCENARIO) -run '^($(OUTSIDE))$$' -args -bgp=frr \
  -- $(SCENARIO) -run '^($(OUTSIDE))$$' -args -bgp=gobgpd -reflector=frr \
  -- $(SCENARIO) -run '^($(OUTSIDE))$$' -args -bgp=frr -reflector=gobgpd
# GoBGP v3.37.0 has races of its own, so what runs its server is left out.
RACE_TESTS := ./cmd/... ./evpn ./evpn/wire ./dataplane/... ./test/lab

.PHONY: help
help: ## Show this list.
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build bin/longwire and bin/map_session. Needs Go alone.
	$(GO) build -trimpath -o bin/ ./cmd/...

.PHONY: demo
demo: build ## Show two sites joined across a routed network, in under a minute (root; KEEP=1 leaves it running).
	./test/deps.sh demo
	$(GO) build -trimpath -o bin/ ./test/demo ./test/peer/rr
	KEEP=$(KEEP) ./bin/demo

.PHONY: check
check: ## Run every test: unit, golden bytes, fuzz seeds, packet tables, end to end (root).
	./test/deps.sh check
	$(GO) vet ./...
	$(GO) run ./test/tools/gotest $(FAIL_ON_SKIP) -- -count=1 $(UNIT_TESTS) -- -count=1 -p 1 -parallel 4 -timeout 20m $(NETWORK_TESTS)

.PHONY: interop
interop: ## Run Longwire against programs that we did not write, and write docs/interop.md (root).
	./test/deps.sh interop
	results=$$(mktemp -d); trap 'rm -rf "$$results"' EXIT; \
	if LONGWIRE_MATRIX=$$results $(GO) run ./test/tools/gotest -fail-on-skip $(INTEROP_TESTS); \
	then $(GO) run ./test/tools/matrix "$$results" docs/interop.md; \
	else $(GO) run ./test/tools/matrix "$$results"; exit 1; fi

.PHONY: race
race: ## Run the tests of our own code again under the race detector.
	./test/deps.sh race
	CGO_ENABLED=1 $(GO) run ./test/tools/gotest -- -race $(RACE_TESTS)

.PHONY: generate
generate: ## Compile the eBPF programs and their Go bindings anew, with clang-19.
	./test/deps.sh generate
	$(GO) generate ./bpf

.PHONY: lint
lint: ## Run golangci-lint and the limits on file length.
	./test/deps.sh lint
	./test/length.sh
	$(GO) run $(LINTER) run ./...

.PHONY: bench
bench: ## Measure the data plane alone and end to end, against the kernel's own means (root).
	./test/deps.sh bench
	$(GO) run ./test/bench

.PHONY: clean
clean: ## Remove what was built, and labs that were kept or whose process was killed.
	@if [ -d bin ] && [ "$$(id -u)" = 0 ]; then $(GO) run ./test/tools/sweep; fi
	rm -rf bin dist
