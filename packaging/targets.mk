# Documentation, packages, releases.

PACKAGING := target/debug/hull-packaging
DIST := target/dist
# Time of files in packages and archives: that of the last commit, so that the same commit gives the
# same bytes (reproducible-builds.org, SOURCE_DATE_EPOCH).
export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)

.PHONY: packaging-tools
packaging-tools: ## Build the checks of the documentation
	$(CARGO) build --locked -p hull-packaging

.PHONY: packaging-unit
packaging-unit: ## Unit tests of the checks and of the list of parts
	$(CARGO) test --locked -p hull-packaging

.PHONY: docs-check
docs-check: build packaging-tools packaging-unit ## Links, names and marked commands in the documentation
	$(PACKAGING) docs $(HULL)

.PHONY: docs-files
docs-files: packaging-tools ## Write docs/files.md anew: what each file of hull is for
	$(PACKAGING) files

.PHONY: docs-commands
docs-commands: demo shim-build deck-build man packaging-tools ## Run the pages' commands, in Debian containers of hull's own (root; three minutes)
	.ci/packages demo
	packaging/docs-commands.sh $(HULL) $(DECK) $(PAGES)

.PHONY: book
book: ## The documentation as a book, in target/book (installs mdbook)
	command -v mdbook >/dev/null || $(CARGO) install --locked mdbook
	docs/book.sh target/book

# The test's is built without optimisation, which takes minutes less.
INSTALL_DECK := target/deck-static

.PHONY: install
install: build shim-build deck-static man ## Install the programs, units, manual pages, completions
	packaging/install.sh install $(INSTALL_DECK) $(PREFIX)

.PHONY: uninstall
uninstall: ## Remove what `make install` has put there
	packaging/install.sh uninstall $(PREFIX)

.PHONY: install-test
install-test: build shim-build deck-build man ## Install into a directory, compare the list of files, uninstall
	packaging/install-test.sh $(DECK)

.PHONY: deb
deb: build shim-build deck-static man ## The Debian packages, in target/deb
	packaging/deb.sh target/deck-static target/deb

# With the quick build of deck, and compressed quickly: it is the packages that are tested.
.PHONY: deb-test
deb-test: build shim-build deck-build man ## Install the packages in a container of hull's own, remove them (root)
	.ci/packages demo
	DPKG_DEB_COMPRESSOR_TYPE=gzip DPKG_DEB_COMPRESSOR_LEVEL=1 \
		packaging/deb.sh $(DECK) target/deb-test
	packaging/deb-test.sh $(HULL) target/deb-test

.PHONY: deck-static
# What `deck version` tells.
deck-static: export HULL_COMMIT = $(shell packaging/commit.sh deck shim)
deck-static: ## deck as one static binary, in target/deck-static
	.ci/packages build release
	$(CARGO) build --release --locked -p deck --target $(MUSL)
	install -m 0755 target/$(MUSL)/release/deck target/deck-static

.PHONY: dist
dist: packaging-tools man ## Release archives with checksums and lists of parts, in target/dist
	.ci/packages build release
	packaging/dist.sh $(DIST)

.PHONY: reproducible
reproducible: ## Build hull, the shim and deck twice, in two places, and compare (half an hour)
	packaging/reproducible.sh hull containerd-shim-hull-v2 deck
