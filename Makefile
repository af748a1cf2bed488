# Every target does its own set-up and honours CARGO_TARGET_DIR.
# The two to know: `make demo` (what Postern is for, on this machine) and `make test` (everything).

export CARGO_TARGET_DIR ?= $(CURDIR)/target
BUILT := $(CARGO_TARGET_DIR)/debug

PROVED := $(CARGO_TARGET_DIR)/release

.PHONY: help demo demo-bank demo-events demo-gateway demo-shop demo-social test check quick fmt reference bench fuzz prove-certs prove-traffic prove-limits prove-gateway prove-threats prove-cluster clean setup unit fuzz-briefly e2e cost images release screenshots

help:
	@echo 'make demo          the shop in the mesh on this machine: allowed calls, refusals, rotation, a live policy edit'
	@echo 'make demo KEEP=1   the same, and it stays up with the commands to try'
	@echo 'make demo KEEP=1 AUDIT=1   the shop without policies, in audit mode, to write them (docs/policy.md)'
	@echo 'make demo-bank     a bank: policies suggested from a recorded day, transfers by two people, a record for auditors'
	@echo 'make demo-events   who may publish and listen at NATS, MQTT and Kafka brokers: suggested, enforced, edited live'
	@echo 'make demo-gateway  the shop behind a gateway: browsers, API keys, partners, limits, changes under load'
	@echo 'make demo-shop     the whole shop: people sign in by OpenID Connect, limits at the edge, allow-lists inside'
	@echo 'make demo-social   a social network with a login service: tokens, limits, logout everywhere'
	@echo 'make test          set-up, formatting, lints, documentation, unit, property, doc, fuzz and end-to-end tests, costs'
	@echo 'make check         formatting, lints and documentation only'
	@echo 'make quick         formatting, lints and tests of the crates you changed (CRATE=policy: of these)'
	@echo 'make fmt           format the sources'
	@echo 'make reference     print docs/reference, the tables of the guides and the CRDs anew from the code'
	@echo 'make screenshots   take the pictures of the page anew, from the story that tests it'
	@echo 'make cost          instructions, allocations and system calls of a request, counted, beside the accepted ones'
	@echo 'make bench         what a request costs beside HAProxy, nginx, Envoy and the bare libraries (QUICK=1: in three minutes)'
	@echo 'make prove-certs   what is promised about certificates, measured: one line a promise (PROVE="--only P-01")'
	@echo 'make prove-traffic what is promised about traffic, in the same way'
	@echo 'make prove-limits  what is promised about limits of callers, with a real Redis, in the same way'
	@echo 'make prove-threats how far the tests of a rule set agree (RULES=file TESTS=directory THROUGH=gateway)'
	@echo 'make prove-gateway what a request costs at the edge beside Envoy, held to its bar'
	@echo 'make fuzz          every fuzz target for some seconds (SECONDS=10)'
	@echo 'make images        container images of the four programs, as OCI archives, without a container daemon'
	@echo 'make clean         remove what was built'

# The demo needs iproute2, nftables, curl and util-linux; the script names what is missing.
demo:
	@tests/setup demo
	@cargo build --locked --workspace --bins
	@if tests/in-namespace true 2>/dev/null; then \
		KEEP=$(KEEP) AUDIT=$(AUDIT) tests/in-namespace $(BUILT)/demo; \
	else \
		KEEP=$(KEEP) AUDIT=$(AUDIT) $(BUILT)/demo; \
	fi

# The same things are needed; the stories of these names run them, too.
demo-bank demo-gateway demo-social:
	@tests/setup demo
	@cargo build --locked --workspace --bins
	@SUGGEST=$(SUGGEST) tests/in-namespace $(BUILT)/$@

# The brokers and their clients come from PyPI and Debian.
demo-events:
	@tests/setup events
	@cargo build --locked --workspace --bins
	@SUGGEST=$(SUGGEST) tests/in-namespace $(BUILT)/$@

# The provider with whom people sign in comes from npm.
demo-shop:
	@tests/setup sign-in
	@cargo build --locked --workspace --bins
	@tests/in-namespace $(BUILT)/$@

# The pictures of docs/dashboard.md, by the story that looks at the page.
screenshots:
	@tests/setup test
	@cargo build --locked --workspace --bins
	@POSTERN_PICTURES=$(CURDIR)/docs/images tests/in-namespace cargo test --locked -p postern-tests --test stories dashboards::anybody

test:
	@tests/stages setup check unit fuzz-briefly e2e cost

setup:
	@tests/setup test

check:
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --workspace --no-deps

# While you write; see CONTRIBUTING.md.
quick:
	@tests/quick $(CRATE)

# Unit, property and doc tests of every crate but the end-to-end one.
unit:
	cargo test --locked --workspace --exclude postern-tests --features cert-agent/pkcs11

# Each fuzz target for a moment, so that none can rot.
fuzz-briefly:
	@$(MAKE) --no-print-directory -C fuzz SECONDS=1

# The programs first, then the stories, which start them; a few at a time: they wait more than they work. Those that hold
# a promise to the clock come last and one by one, because their neighbours would be measured with them. At the end those
# that took longest.
e2e: export STORY_TIMES := $(CARGO_TARGET_DIR)/story-times
e2e:
	cargo build --locked --workspace --bins
	cargo test --locked -p postern-tests --no-run
	@rm -f $(STORY_TIMES)
	@result=0; \
	tests/in-namespace cargo test --locked --offline --no-fail-fast -p postern-tests -- --skip by_the_clock \
		--test-threads=$${E2E_THREADS:-3} || result=$$?; \
	tests/in-namespace cargo test --locked --offline --no-fail-fast -p postern-tests --test stories by_the_clock -- \
		--test-threads=1 || result=$$?; \
	tests/slowest $(STORY_TIMES); exit $$result

# What a request costs, counted: fails when it is more than what benches/cost/baseline.json accepts.
cost:
	@$(MAKE) --no-print-directory -C benches cost

# The programs as they are shipped. The cert agent stands in every pod, so it is built for size (docs/decisions/0232).
release:
	cargo build --locked --release --workspace --bins
	cargo build --locked --profile small -p cert-agent --bin postern-cert-agent
	@install -m 755 $(CARGO_TARGET_DIR)/small/postern-cert-agent $(PROVED)/postern-cert-agent

fmt:
	cargo fmt --all

# What the tests of the same names compare.
reference:
	cargo build --locked --workspace --bins
	UPDATE_DOCS=1 cargo test --locked -p proxy --test documentation
	UPDATE_DOCS=1 cargo test --locked -p k8s --test all -- documentation crds
	UPDATE_DOCS=1 cargo test --locked -p postern-tests --test reference
	UPDATE_DOCS=1 cargo test --locked -p postern-tests --test conformance inventory
	UPDATE_DOCS=1 cargo test --locked -p postern-tests --test documents every_decision_is_in_the_index
	UPDATE_DOCS=1 cargo test --locked -p postern-tests --test architecture security_cases_and_tests_are_the_same

bench:
	@tests/setup bench
	@$(MAKE) --no-print-directory -C benches

# A rule set's own tests in go-ftw form, against what its rules say here: RULES=crs/main.conf TESTS=crs/tests/regression/tests
# THROUGH=gateway sends each as bytes to a gateway, and reads in its log which rules matched.
prove-threats:
ifeq ($(THROUGH),gateway)
	@tests/setup demo
	cargo build --locked --release --workspace --bins
	tests/in-namespace $(PROVED)/prove-threats $(RULES) $(TESTS) $(ARGS)
else
	cargo run --locked --release -p threat-rules --example expectations -- $(RULES) $(TESTS) $(ARGS)
endif

# Release programs, real traffic, 15 minutes: PROVE=--quick takes one, PROVE="--only P-01" proves one.
prove-certs: release
	@tests/setup demo
	tests/in-namespace $(PROVED)/prove-certs $(PROVE)

# The same for the promises about traffic; before them, what the balancer is worth in a simulation with fixed seeds.
prove-traffic: release
	@tests/setup demo
	cargo test --locked --release -p balancer --test simulation -- --nocapture
	tests/in-namespace $(PROVED)/prove-traffic $(PROVE)

# The same for limits of callers; the set-up for tests has the Redis.
prove-limits: release
	@tests/setup test
	tests/in-namespace $(PROVED)/prove-limits $(PROVE)

# The CPU of a request at the edge beside Envoy with the same features: a minute after the build.
prove-gateway:
	@tests/setup bench
	@$(MAKE) --no-print-directory -C benches edge ARGS='--prove $(PROVE)'

fuzz:
	@$(MAKE) --no-print-directory -C fuzz

# One OCI archive a program under target/images; each is unpacked and its program run before it counts as made.
images: release
	@tests/setup images
	k8s/images/archive --programs $(CARGO_TARGET_DIR)/release --output $(CARGO_TARGET_DIR)/images --check

# Memory and delays of the control plane: ten thousand services, a thousand simulated proxies, one real one.
prove-cluster:
	cargo build --locked --release --bin postern-proxy
	cargo bench --locked -p k8s --bench scale

clean:
	cargo clean
