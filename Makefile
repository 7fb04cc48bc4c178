# Hull: build, try, test. On a fresh Debian: `make demo`, then `make test`.

SHELL := /bin/bash
CARGO ?= cargo
PREFIX ?= /usr/local
export DESTDIR ?=
# Paths below rely on it, whatever the caller's environment says.
export CARGO_TARGET_DIR := $(CURDIR)/target
# The reference runtimes the integration tests also run on.
REFERENCES ?= /usr/sbin/runc /usr/bin/crun
# The one among them that `make test` runs; crun takes minutes: REFERENCE_TESTS=/usr/bin/crun.
REFERENCE_TESTS ?= /usr/sbin/runc

# Static musl where the target is installed: it starts fastest. Else static glibc.
MUSL := $(shell uname -m)-unknown-linux-musl
ifeq ($(wildcard $(shell rustc --print sysroot)/lib/rustlib/$(MUSL)),)
TARGET ?= $(shell uname -m)-unknown-linux-gnu
binary: export RUSTFLAGS = -C target-feature=+crt-static -C relocation-model=static \
	-C symbol-mangling-version=v0
else
TARGET ?= $(MUSL)
endif
HULL := target/hull
# What `hull --version` tells.
binary: export HULL_COMMIT = $(shell packaging/commit.sh runtime)

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "%-24s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: deps
deps: ## Install what is missing: Debian packages, the musl target
	.ci/packages build test demo bench

.PHONY: build
build: ## Build the static release binary
	.ci/packages build
	@# A make of its own: the line above may have installed the target it looks for.
	@$(MAKE) --no-print-directory binary

.PHONY: binary
binary: ## The same where everything is installed already
	$(CARGO) build --profile small --locked -p hull --bin hull --target $(TARGET)
	strip -o $(HULL) target/$(TARGET)/small/hull
	@ls -l $(HULL)

.PHONY: demo
demo: build ## Run a container from a Debian root file system, step by step
	.ci/packages demo
	runtime/demo/demo.sh $(HULL)

.PHONY: test
test: ## Run every test (needs root)
test: unit packaging-unit integration reference e2e shim-direct shim-e2e deck-images \
	deck-net-test deck-docker-e2e deck-note-e2e conformance bench-smoke man-test \
	coverage-test install-test docs-check

.PHONY: unit
unit: deps ## Unit tests; no root needed
	@# One by one: together, each would be tested with the features that others ask of crates.
	$(CARGO) test --locked -p hull --lib --bins
	$(CARGO) test --locked -p hull-bench --bins
	$(CARGO) test --locked -p hull-shim --lib --bins
	$(CARGO) test --locked -p hull-conformance --bins
	$(CARGO) test --locked -p deck --lib --bins

.PHONY: integration
integration: deps ## Integration tests on hull
	env -u HULL_TEST_RUNTIME $(CARGO) test --locked -p hull --test integration

.PHONY: reference
reference: deps ## The same integration tests on the field's runtimes
	@for runtime in $(REFERENCE_TESTS); do \
		echo "== $$runtime"; \
		HULL_TEST_RUNTIME=$$runtime .ci/reference $(CARGO) test --locked -p hull --test integration || exit 1; \
	done

.PHONY: e2e
e2e: deps build ## hull under containerd, Docker and Podman
	@for engine in containerd docker podman; do \
		for runtime in /usr/sbin/runc $(CURDIR)/$(HULL); do \
			echo "== $$engine with $$runtime"; \
			runtime/tests/e2e/$$engine.sh $$runtime || exit 1; \
		done; \
	done

# System calls of `hull run` on the default bundle, without those for each cgroup v1 hierarchy. Among
# the last that came: the CPU affinity is reset, init gives up what it inherited of the runtime, and
# the time namespace is looked at.
SYSCALLS := 288
BENCH := target/$(TARGET)/small/hull-bench
FLOOR := target/$(TARGET)/small/hull-floor

.PHONY: bench-build
bench-build: build ## Build the benchmark
	$(CARGO) build --profile small --locked -p hull-bench --target $(TARGET)

.PHONY: bench
bench: deps bench-build ## Compare hull with runc, crun, youki and the floor; results in docs/bench/
	.ci/packages bench
	@command -v youki >/dev/null || $(CARGO) install youki --features v1
	$(BENCH) --out docs/bench $(HULL) $(REFERENCES) $$(command -v youki || \
		echo $${CARGO_HOME:-$$HOME/.cargo}/bin/youki) $(FLOOR)

.PHONY: order
order: deps bench-build ## Record anew which functions belong side by side (runtime/order.ld)
	$(BENCH) --order runtime/order.ld target/$(TARGET)/small/hull

.PHONY: bench-smoke
bench-smoke: bench-build ## The benchmark works, and hull keeps its budget of system calls
	.ci/packages bench
	$(BENCH) --syscalls-at-most $(SYSCALLS) $(HULL)
	$(BENCH) --runs 2 --crowd 1 --mounts 5 $(HULL) $(REFERENCES) $(FLOOR) >/dev/null

.PHONY: lint
lint: ## Format and clippy, warnings are errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

.PHONY: deny
deny: ## Check licences, sources and kinds of dependencies (installs cargo-deny)
	.ci/deny

.PHONY: advisories
advisories: ## Check dependencies for advisories of RustSec (GitHub, or ADVISORIES=a clone of it)
	.ci/deny advisories

.PHONY: clean
clean: ## Remove what was built
	$(CARGO) clean

# Each part's own targets.
-include $(wildcard */targets.mk)
