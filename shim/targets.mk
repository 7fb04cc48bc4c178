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
