# What people and CI type. `make` alone lists it.
.DEFAULT_GOAL := help
.PHONY: help up demo agent test chaos soak lint audit bench secrets setup-run setup-test setup-lint

# What setup.sh fetched, and a Rust that was just installed.
export PATH := $(CURDIR)/.tools/bin:$(PATH):$(HOME)/.cargo/bin

TARGET := $(or $(CARGO_TARGET_DIR),target)
# Where `up` and `agent` look for builds; several separated by ':'.
WATCH ?= $(or $(PHASELINE_WATCH),$(HOME))
CARGO_DENY := 0.20.2
CARGO_MACHETE := 0.9.2

help: ## List these targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | awk -F '\t' '{ printf "make %-8s %s\n", $$1, $$2 }'

up: setup-run ## Run everything on this machine and print the address (WATCH=dir, LISTEN=127.0.0.1:8080)
	cargo build --release --locked -p phaseline-standalone
	exec $(TARGET)/release/phaseline up --watch "$(WATCH)" $(if $(LISTEN),--listen "$(LISTEN)")

demo: ## Play three fake builds into the running system (SPEED=2; NATS= and PASSWORD_FILE= for one elsewhere)
	cargo build --release --locked -p phaseline-standalone
	exec $(TARGET)/release/phaseline demo $(if $(SPEED),--speed "$(SPEED)") \
	  $(if $(NATS),--nats-url "$(NATS)" --nats-user agent --nats-password-file "$(PASSWORD_FILE)")

agent: ## Watch this machine for a system elsewhere (NATS=nats://central:4222 PASSWORD_FILE=file, WATCH=dir, INGEST=addresses)
	cargo build --release --locked -p phaseline-agent
	exec $(TARGET)/release/phaseline-agent --nats-url "$(NATS)" --nats-user agent --nats-password-file "$(PASSWORD_FILE)" --watch "$(WATCH)" \
	  $(if $(INGEST),--ingest "$(INGEST)")

# Unit tests first: they need no services and fail fastest. The others wait
# more than they compute: four at once, also on two cores.
test: setup-test ## Unit tests, then the end-to-end tests with real servers and a real browser
	cargo build --workspace --bins --locked
	cargo test --workspace --exclude phaseline-tests --locked
	cargo test -p phaseline-tests --locked -- --test-threads=4

lint: setup-lint ## Formatting, clippy and documentation, with warnings denied
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

audit: setup-lint ## Licences, advisories, sources, unused dependencies (before a release; installs its tools, which takes long)
	cargo deny --version >/dev/null 2>&1 || cargo install --locked cargo-deny@$(CARGO_DENY)
	cargo machete --version >/dev/null 2>&1 || cargo install --locked cargo-machete@$(CARGO_MACHETE)
	cargo deny --locked check licenses bans sources
	if cargo deny fetch db; then cargo deny --locked check advisories; \
	else echo "the advisory database cannot be reached: advisories were not checked" >&2; fi
	cargo machete

# The faults that are tried elsewhere than in `chaos`, by part.
FAULTS_logs := log_kills::
FAULTS_up := up::a_private_server_that_dies up::a_disk_that_was_full
FAULTS := $(if $(PART),$(or $(FAULTS_$(PART)),chaos::$(PART)),chaos:: $(FAULTS_logs) $(FAULTS_up) --skip chaos::soak)

chaos: setup-test ## The long form of every fault test, at most 30 minutes (PART=kills, outages, disks, slow_disk, files, inputs, clients, corruption, stops, logs, up)
	cargo build --release --workspace --bins --locked
	PHASELINE_TEST_LONG=1 cargo test --release -p phaseline-tests --locked --test e2e -- --nocapture --test-threads=1 \
	  $(FAULTS)

soak: setup-test ## Twenty minutes with a fault each minute, memory and descriptors watched (HOURS=24)
	cargo build --release --workspace --bins --locked
	PHASELINE_TEST_LONG=1 HOURS=$(HOURS) cargo test --release -p phaseline-tests --locked --test e2e -- --nocapture chaos::soak

bench: setup-test ## Latency and throughput beside the primitives, measured on this machine
	cargo build --release --workspace --bins --locked
	cargo bench -p phaseline-tests --locked

secrets: ## Make the passwords for `docker compose up`
	@deploy/secrets.sh

setup-run setup-test setup-lint: setup-%:
	@standalone/setup.sh $*
