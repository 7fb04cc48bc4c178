# Images: the store against real registries and other tools.

.PHONY: deck-images
deck-images: deps ## The image store against registries, skopeo and umoci (needs root)
	$(CARGO) test --locked -p deck --test images -- --test-threads 3

.PHONY: deck-images-kill
deck-images-kill: deps ## Kill pull, load and rmi at 150 moments each
	DECK_KILL_ROUNDS=150 $(CARGO) test --locked -p deck --test images -- faults

.PHONY: deck-cli-e2e
deck-cli-e2e: deps ## deck's command line beside Docker's, against one dockerd
	$(CARGO) build --locked -p deck
	deck/tests/e2e/cli-vs-docker.sh target/debug/deck

.PHONY: deck-net-test
deck-net-test: deps ## deck's networks on the real kernel (root; in network namespaces of its own)
	$(CARGO) test --locked -p deck --test net_root

.PHONY: deck-net-bench
deck-net-bench: deps ## Throughput and cost of deck's networks beside a direct connection (root)
	$(CARGO) test --locked -p deck --test net_root -- bench
