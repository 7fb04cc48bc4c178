# The suite on the runtimes of the field. crun refuses a hybrid cgroup layout whose unified
# hierarchy has controllers: one-hierarchy.sh hides it.
CONFORMANCE := target/$(MUSL)/debug/hull-conformance
CONFORMANCE_RUN := conformance/one-hierarchy.sh $(CONFORMANCE)
CONFORMANCE_ERRORS := conformance/data/hull-errors.tsv
CONFORMANCE_REPORT := target/conformance.html

.PHONY: conformance-binary
conformance-binary: ## Build the suite
	$(CARGO) build --locked -p hull-conformance --target $(MUSL)

.PHONY: conformance
conformance: deps build conformance-binary ## The conformance suite on hull
	$(CONFORMANCE_RUN) --runtime $(HULL) --errors $(CONFORMANCE_ERRORS)

.PHONY: conformance-errors
conformance-errors: deps build conformance-binary ## Record hull's errors for bad input anew
	$(CONFORMANCE_RUN) --runtime $(HULL) --record-errors $(CONFORMANCE_ERRORS)
	git diff --stat -- $(CONFORMANCE_ERRORS)

.PHONY: conformance-self-test
conformance-self-test: deps build conformance-binary ## Show that each conformance case can fail
	$(CONFORMANCE_RUN) --runtime $(HULL) --self-test

.PHONY: conformance-commands
conformance-commands: deps build conformance-binary ## Run the commands of docs/conformance.md
	conformance/commands.sh $(CONFORMANCE) $(HULL)

# System calls of the reference runtimes to try, of each operation and fault; of hull it is all.
FAULT_POINTS ?= 25

.PHONY: conformance-faults
conformance-faults: deps build conformance-binary ## Faults at every system call of hull; some of runc's and crun's
	$(CONFORMANCE_RUN) --filter faults/ --points 0 --format markdown --runtime $(HULL)
	$(CONFORMANCE_RUN) --filter faults/ --points $(FAULT_POINTS) --format markdown \
		$(foreach runtime,$(REFERENCES),--runtime $(runtime)) || [ $$? = 1 ]

.PHONY: conformance-unprivileged
conformance-unprivileged: deps build conformance-binary ## The suite on hull as an ordinary user
	conformance/unprivileged.sh $(CONFORMANCE) --runtime $(HULL)

.PHONY: conformance-vm
conformance-vm: deps build conformance-binary ## The suite on hull with cgroup v2, in a machine
	conformance/vm.sh $(CONFORMANCE) --runtime $(HULL)

.PHONY: conformance-matrix
conformance-matrix: deps build conformance-binary ## hull, runc, crun and youki side by side
	@command -v youki >/dev/null || $(CARGO) install youki --features v1
	$(CONFORMANCE_RUN) --format html --output $(CONFORMANCE_REPORT) --runtime $(HULL) \
		$(foreach runtime,$(REFERENCES),--runtime $(runtime)) --runtime "$$(command -v youki || \
		echo $${CARGO_HOME:-$$HOME/.cargo}/bin/youki)" || [ $$? = 1 ]
	@echo "$(CONFORMANCE_REPORT)"
