# One entry point for people and for CI: `make run` and `make test`. `make help` lists the rest.
#
# Everything native is built with one profile (release) and one set of features, so that no crate is
# compiled twice. The package `hydrate` is for the browser alone and is left out of native builds.
SHELL := bash
.DEFAULT_GOAL := help
STEP := @scripts/step
NATIVE := --workspace --exclude hydrate
LINTS := cargo clippy --locked --release $(NATIVE) --all-targets -- -D warnings

.PHONY: help run watch build test test-unit test-e2e bench fmt lint site clean fuzz

help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

run: ## Build what changed and start the shop; arguments go in ARGS="--listen 127.0.0.1:4000"
	@scripts/run $(ARGS)

watch: ## Build, start, after every change build what changed and reload the page; ARGS as for run
	@scripts/watch $(ARGS)

build: ## Build the program with the dashboard inside it
	@scripts/run --build-only

site: ## Build only what the browser loads
	$(STEP) "the dashboard for the browser" scripts/build-site

test: ## Check everything, as CI does: format, lints, tests, wasm size, browser journeys
	@scripts/check-tools
	$(STEP) "format" scripts/format --check
	$(STEP) "lints, and beside them the dashboard for the browser" scripts/beside-site $(LINTS)
	$(STEP) "wasm size" scripts/wasm-size
	$(STEP) "lints of what the browser loads" scripts/lint-web
	$(STEP) "the OTLP collector of the tests" scripts/setup-rotel
	$(STEP) "tests" scripts/test-native $(NATIVE)
	$(STEP) "browser journeys" scripts/test-e2e
	@echo "All checks passed."

test-unit: ## Run the Rust tests; narrow with TESTS="-p mesh breaker"
	@scripts/test-unit $(TESTS)

test-e2e: build ## Run the browser journeys; narrow with TESTS="smoke --headed"
	$(STEP) "browser journeys" scripts/test-e2e $(TESTS)

lint: ## Run clippy as the checks do
	$(STEP) "lints" $(LINTS)
	$(STEP) "lints of what the browser loads" scripts/lint-web

bench: ## Measure throughput and latency
	$(STEP) "benchmarks" scripts/bench $(ARGS)

fuzz: ## Ten million random texts and byte strings through the reader of resources
	$(STEP) "random resources" scripts/fuzz $(ARGS)

fmt: ## Format the Rust code
	@scripts/format

clean: ## Delete everything that was built or fetched
	@scripts/clean
