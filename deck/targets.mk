# deck: its image store, its networks, its command line and its API, each against real peers.

DECK := target/debug/deck

# Properties are tested with the same inputs every time; `cargo test` by itself tries others.
export PROPTEST_RNG_SEED ?= 20261128

.PHONY: deck-build
deck-build: deps ## Build deck, unoptimised, in target/debug
	$(CARGO) build --locked -p deck

.PHONY: deck-images
deck-images: deps build ## The image store against registries, Docker, Podman, skopeo, umoci (needs root)
	DECK_TEST_HULL=$(CURDIR)/$(HULL) $(CARGO) test --locked -p deck --test images -- \
		--test-threads 3

.PHONY: deck-images-kill
deck-images-kill: deps ## Kill pull, load and rmi at 150 moments each
	DECK_KILL_ROUNDS=150 $(CARGO) test --locked -p deck --test images -- faults

.PHONY: deck-images-bench
deck-images-bench: deps ## Pull, load and save beside Docker, Podman, skopeo with umoci, and ctr
	$(CARGO) build --release --locked -p deck
	$(CARGO) test --locked -p deck --test images --no-run
	@# A network namespace of its own: the registry is on its loopback.
	DECK_BENCH_DECK=$(CURDIR)/target/release/deck unshare --net --mount --propagation private \
		sh -c 'ip link set lo up && exec "$$@"' sh $(CARGO) test -q --offline --locked -p deck \
		--test images -- --ignored --exact bench::images --nocapture

.PHONY: deck-net-test
deck-net-test: deps ## deck's networks on the real kernel (root; in network namespaces of its own)
	$(CARGO) test --locked -p deck --test net_root

.PHONY: deck-cli-e2e
deck-cli-e2e: deck-build ## deck's command line beside Docker's, against one dockerd
	deck/tests/e2e/cli-vs-docker.sh $(DECK)

.PHONY: deck-docker-e2e
deck-docker-e2e: deck-build build shim-build ## The stock docker command against deck's API
	deck/tests/e2e/docker-cli.sh $(DECK) $(HULL) $(SHIM)

.PHONY: deck-note-e2e
deck-note-e2e: deck-build build shim-build ## What people do with Docker: by deck, by docker, by docker over TLS
	deck/tests/e2e/docker-note.sh $(DECK) $(HULL) $(SHIM)

.PHONY: deck-chaos
deck-chaos: deck-build build shim-build ## Kill deck, shims and runtimes at 400 moments; DECK_KILLS=60 for a short one
	deck/tests/e2e/chaos.sh $(DECK) $(HULL) $(SHIM) $(or $(DECK_KILLS),400)

.PHONY: deck-bench
deck-bench: build shim-build ## deck beside Docker and Podman: time, memory, published ports
	$(CARGO) build --release --locked -p deck
	deck/tests/e2e/bench.sh target/release/deck $(HULL) $(SHIM)

.PHONY: deck-net-bench
deck-net-bench: deps ## Throughput and cost of deck's networks beside a direct connection (root)
	$(CARGO) test --locked -p deck --test net_root -- bench
