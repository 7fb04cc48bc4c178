# The suite on the runtimes of the field. crun refuses a hybrid cgroup layout whose unified
# hierarchy has controllers: one-hierarchy.sh hides it.
CONFORMANCE := target/$(MUSL)/debug/hull-conformance
CONFORMANCE_RUN := conformance/one-hierarchy.sh $(CONFORMANCE)

.PHONY: conformance-binary
conformance-binary:
	$(CARGO) build --locked -p hull-conformance --target $(MUSL)

.PHONY: conformance
conformance: deps build conformance-binary ## The conformance suite on hull
	$(CONFORMANCE_RUN) --runtime $(HULL)

.PHONY: conformance-self-test
conformance-self-test: deps build conformance-binary ## Show that each conformance case can fail
	$(CONFORMANCE_RUN) --runtime $(HULL) --self-test

.PHONY: conformance-matrix
conformance-matrix: deps build conformance-binary ## hull, runc and crun side by side
	$(CONFORMANCE_RUN) --format markdown --runtime $(HULL) \
		$(foreach runtime,$(REFERENCES),--runtime $(runtime))
