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
