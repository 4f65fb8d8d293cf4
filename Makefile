# Each target is one line of what it is for; `make help` shows them.
.DEFAULT_GOAL := help
.PHONY: run test check torture soak mutants bench image-test deny sbom tools help

BIN := $(abspath $(or $(CARGO_TARGET_DIR),target))/debug
RELEASE := $(abspath $(or $(CARGO_TARGET_DIR),target))/release
VENV := $(abspath $(or $(CARGO_TARGET_DIR),target))/clients-venv
# The programs of the image: static, and built apart from all others.
HOST = $(shell rustc --print host-tuple)
BUF = $(or $(shell command -v buf),$(VENV)/bin/buf)
# Never -p here: another choice of members is another choice of features, and every dependency would be compiled again.
LOCAL := cargo build --bin tally-local && $(BIN)/tally-local

run: ## Run Tally here: installs what is missing, builds, starts all of it on private servers, shows calls to paste; Ctrl-C stops it
	@$(LOCAL) run

# Programs and tests are built together, so that both share what is compiled, and the tests need not build the programs again.
test: ## Prove it: installs what is missing, builds, runs every test on real servers and real processes
	cargo build --workspace --all-targets
	$(BIN)/tally-local install --tests
	TALLY_TEST_BINARIES=$(BIN) cargo test --workspace --no-fail-fast

check: ## Check the style: formatting, lints, the protos, the tree's own rules
	cargo fmt --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo check --locked --manifest-path bench/cqrs-es/Cargo.toml --target-dir $(dir $(BIN))
	@command -v buf >/dev/null || $(LOCAL) install --tests
	cd proto && $(BUF) lint
	cargo test --workspace --test system tidy::

# Programs by name for the reason above. What has a Cargo.lock of its own is built into the same folder, to share what is the same.
bench: ## Measure it: builds a release, prints one table against pgbench and others, writes bench/results (ONLY=P1,P3: some rows)
	cargo build --release --bin bench --bin bench-bare --bin command-service --bin projector --bin query-service
	cargo build --release --manifest-path bench/cqrs-es/Cargo.toml --target-dir $(dir $(RELEASE))
	$(RELEASE)/bench run --only "$(ONLY)"

# What somebody else runs on: TORTURE_DATABASE_URL and TORTURE_REDIS_URL.
torture: ## Torture it: a release under load and faults, then the proof that nothing was lost (DURATION=10m SEED=7 FAULTS=all)
	cargo build --release --bin command-service --bin projector --bin query-service --bin torture
	TALLY_TEST_BINARIES=$(RELEASE) $(RELEASE)/torture --duration $(or $(DURATION),10m) $(if $(SEED),--seed $(SEED)) --faults $(or $(FAULTS),all)

soak: ## Soak it: a release at half of what it can do, for half an hour, and whether memory and descriptors grow (MINUTES=30)
	cargo build --release --bin bench --bin command-service --bin projector --bin query-service
	$(RELEASE)/bench soak --minutes $(or $(MINUTES),30)

# In hours: PACKAGE=tally-domain is the soonest, SHARD=0/10 is every tenth.
mutants: ## Mutate it: change the code in one place after the other, and list what no test notices
	@command -v cargo-mutants >/dev/null || { echo "There is no cargo-mutants here: cargo install --locked cargo-mutants"; exit 1; }
	cargo mutants --config tests/mutants.toml $(if $(PACKAGE),--package $(PACKAGE)) $(if $(SHARD),--shard $(SHARD)) --output target

image-test: ## Pack the image and run Tally from it: minutes, for the release build; on Linux, as root, with buildah
	@command -v buildah >/dev/null || { echo "There is no buildah here: apt-get install buildah"; exit 1; }
	cargo build --workspace --all-targets
	$(BIN)/tally-local install --tests
	RUSTFLAGS="-C target-feature=+crt-static" cargo build --locked --release --target $(HOST) --bin command-service --bin projector --bin query-service
	TALLY_TEST_BINARIES=$(BIN) TALLY_IMAGE_PROGRAMS=$(abspath $(BIN)/../$(HOST)/release) \
		cargo test --workspace --test system deploy::image:: -- --ignored --nocapture

deny: ## Check what comes in: licences, bans, sources, and advisories where their database can be had
	@command -v cargo-deny >/dev/null || { echo "There is no cargo-deny here: cargo install --locked cargo-deny"; exit 1; }
	cargo deny --locked check bans licenses sources
	cargo deny --locked check advisories || { echo "advisories: not checked, or not clean; see above"; [ -z "$(STRICT)" ]; }

sbom: ## Write what the programs are made of: target/sbom/tally.cdx.json (CycloneDX)
	@$(LOCAL) sbom

tools: ## Put grpcurl, buf and kubectl into target/clients-venv/bin (with Python)
	@$(LOCAL) install --tests

help: ## Show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
