# The runtime's own targets.

# Where the virtual machine's disk is kept.
VM_CACHE ?= target/vm

# Parts of names of tests; none: all.
VM_FILTER ?=

.PHONY: vm-test
vm-test: ## Integration tests in a virtual machine: systemd, cgroup v2 (needs root)
	.ci/packages build test vm
	@binary=$$($(CARGO) test --locked -p hull --test integration --no-run 2>&1 \
		| sed -n 's/.*Executable.*(\(.*\))/\1/p'); \
	runtime/tests/vm/test.sh $(VM_CACHE) $$binary target/debug/hull $(VM_FILTER)

# What depends on the manager, the version of cgroups, the security module and the account.
.PHONY: vm-quick
vm-quick: ## Those of the tests that differ there
	@$(MAKE) --no-print-directory vm-test \
		VM_FILTER="systemd:: rootless:: cgroups:: limits:: devices:: corners:: userns::"

.PHONY: man
man: ## Manual pages in target/man, shell completions in target/completions
	$(CARGO) run --quiet --locked -p hull --example manual -- target
	@ls target/man target/completions

.PHONY: man-test
man-test: ## Every command and flag is on its page and completed
	$(CARGO) test --locked -p hull --example manual

.PHONY: coverage-test
coverage-test: ## docs/spec-coverage.md is complete, and every test it names exists
	$(CARGO) test --locked -p hull --test coverage

# How long each fuzz target runs.
FUZZ_SECONDS ?= 60

.PHONY: fuzz
fuzz: ## Fuzz every parser of hostile input, FUZZ_SECONDS each
	.ci/packages build fuzz
	@for directory in $(wildcard */fuzz); do .ci/fuzz $$directory $(FUZZ_SECONDS) || exit 1; done

.PHONY: sanitize
sanitize: ## Unsafe code under AddressSanitizer and Miri (rustup's nightly toolchain)
	.ci/packages build fuzz
	.ci/sanitize
