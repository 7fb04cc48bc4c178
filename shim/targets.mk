# The shim: build it, and try it under containerd.

SHIM := target/containerd-shim-hull-v2

ifneq ($(TARGET),$(MUSL))
shim-build: export RUSTFLAGS = -C target-feature=+crt-static -C relocation-model=static
endif

.PHONY: shim-build
shim-build: ## Build the shim, static, into target/
	$(CARGO) build --release --locked -p hull-shim --bin containerd-shim-hull-v2 --target $(TARGET)
	install -m 0755 target/$(TARGET)/release/containerd-shim-hull-v2 $(SHIM)
	@ls -l $(SHIM)

.PHONY: shim-direct
shim-direct: deps ## The shim without containerd: log, attach, events to a program (root)
	$(CARGO) test --locked -p hull-shim --test direct

# hull has to be built too: it is the engine.
.PHONY: shim-e2e
shim-e2e: deps build shim-build ## The shim under containerd, with hull and with runc
	@for runtime in $(CURDIR)/$(HULL) /usr/sbin/runc; do \
		echo "== containerd with the shim and $$runtime"; \
		shim/tests/e2e/shim.sh $(CURDIR)/$(SHIM) $$runtime || exit 1; \
	done

# Of 2.x: build it beside this, and name the directory of containerd and ctr.
.PHONY: shim-e2e-2
shim-e2e-2: deps build shim-build ## The same under another containerd: CONTAINERD=directory
	@test -x "$(CONTAINERD)/containerd" || { echo "CONTAINERD=directory of containerd and ctr"; exit 1; }
	@for runtime in $(CURDIR)/$(HULL) /usr/sbin/runc; do \
		echo "== $$($(CONTAINERD)/containerd --version) with the shim and $$runtime"; \
		PATH=$(CONTAINERD):$$PATH shim/tests/e2e/shim.sh $(CURDIR)/$(SHIM) $$runtime || exit 1; \
	done

.PHONY: shim-soak
shim-soak: deps build shim-build ## 10,000 containers through one containerd; nothing may be left
	shim/tests/e2e/soak.sh $(CURDIR)/$(SHIM) $(CURDIR)/$(HULL)

.PHONY: shim-vm
shim-vm: ## The shim without containerd in a virtual machine: systemd, cgroup v2 (root)
	.ci/packages build test vm
	$(CARGO) build --locked -p hull
	@binary=$$($(CARGO) test --locked -p hull-shim --test direct --no-run 2>&1 \
		| sed -n 's/.*Executable.*(\(.*\))/\1/p'); \
	shim/tests/vm/test.sh $(VM_CACHE) $$binary target/debug/containerd-shim-hull-v2 target/debug/hull
