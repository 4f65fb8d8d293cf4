# Each target is one line of what it is for; `make help` shows them.
.DEFAULT_GOAL := help
.PHONY: run test check tools help

# One choice of features for every command (all members, never -p), so that each dependency is compiled once.
LOCAL := cargo run --bin tally-local --
BUF = $(or $(shell command -v buf),target/clients-venv/bin/buf)

run: ## Run Tally here: installs what is missing, builds, starts all of it on private servers, shows calls to paste; Ctrl-C stops it
	@$(LOCAL) run

test: ## Prove it: installs what is missing, builds, runs every test on real servers and real processes
	$(LOCAL) install --tests
	cargo build --workspace --bins
	cargo test --workspace

check: ## Check the style: formatting, lints, the protos, the tree's own rules
	cargo fmt --check
	cargo clippy --workspace --all-targets -- -D warnings
	@command -v buf >/dev/null || $(LOCAL) install --tests
	cd proto && $(abspath $(BUF)) lint
	cargo test --workspace --test system tidy::

tools: ## Put grpcurl and buf into target/clients-venv/bin, where there are none (with Python)
	@$(LOCAL) install --tests

help: ## Show this
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
