# Every target does its own set-up; `make help` lists them. The work is in scripts/, so that each piece runs by itself too.

# For every call of cargo: what Cargo.lock says, nothing newer.
CARGO_FLAGS = --locked

.DEFAULT_GOAL := help
.PHONY: ui help demo test bench fuzz setup setup-tests build plugins fmt fmt-check lint clippy docs-check test-plugins deny clean

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-20s %s\n", $$1, $$2 }'

demo: ## Build everything and run examples/quickstart in containers
	@scripts/demo.sh

test: ## Run every check and every test
	@scripts/test.sh

bench: setup-tests ## Measure, each figure beside its bare floor (builds in release mode)
	@scripts/build-plugins.sh --all
	@# The whole workspace: server and registry are measured as programs of their own.
	cargo build $(CARGO_FLAGS) --release --workspace --bins
	target/release/windlass-xtask bench $(BENCH)
	cargo bench $(CARGO_FLAGS) -p windlass-runtime --bench call

fuzz: ## Fuzz what reads text, two minutes a target (make fuzz FUZZ="30 yaml")
	@scripts/fuzz.sh $(FUZZ)

setup: ## Install what building and running needs, if it is missing
	@scripts/setup.sh

setup-tests: ## The same, and what the tests need
	@scripts/setup.sh --tests

ui: ## Build the web UI, which is compiled into windlass
	@scripts/build-ui.sh

build: ui ## Build all programs into target/debug
	@# The whole workspace: another selection would have other features, and compile wasmtime a second time.
	cargo build $(CARGO_FLAGS) --workspace --bins

plugins: ## Build the bundled plugins
	@scripts/build-plugins.sh

fmt: ## Format all Rust code
	cargo fmt --all
	cargo fmt --all --manifest-path plugins/Cargo.toml
	cargo fmt --manifest-path fuzz/Cargo.toml
	cargo fmt --manifest-path examples/plugins/rust/Cargo.toml
	cargo fmt --manifest-path examples/plugins/scripted-agent/Cargo.toml

fmt-check: ## Fail where code is not formatted
	cargo fmt --all --check
	cargo fmt --all --check --manifest-path plugins/Cargo.toml
	cargo fmt --check --manifest-path fuzz/Cargo.toml
	cargo fmt --check --manifest-path examples/plugins/rust/Cargo.toml
	cargo fmt --check --manifest-path examples/plugins/scripted-agent/Cargo.toml
	@# The template has no package here, and the width that its author's rustfmt has.
	rustfmt --check --edition 2024 --config max_width=100 host/author/templates/rust/src/lib.rs

lint: fmt-check docs-check clippy ## Formatting, documents, and clippy with warnings as errors

clippy:
	cargo clippy $(CARGO_FLAGS) --workspace --all-targets -- -D warnings
	cargo clippy $(CARGO_FLAGS) --manifest-path plugins/Cargo.toml --workspace --all-targets -- -D warnings

docs-check: ## Fail where a document links to or names something that is not there
	@scripts/check-docs.sh

test-plugins: ## Run the bundled plugins' own tests, on this machine
	cargo test $(CARGO_FLAGS) --manifest-path plugins/Cargo.toml --workspace

deny: ## Check licences, duplicates and sources of all dependencies (needs cargo-deny)
	@command -v cargo-deny >/dev/null || { echo 'cargo-deny is missing. Run: cargo install --locked cargo-deny   (some minutes)' >&2; exit 1; }
	cargo deny check bans licenses sources
	cargo deny --manifest-path plugins/Cargo.toml check bans licenses sources

clean: ## Remove what was built, and the demo's data
	cargo clean
	cargo clean --manifest-path plugins/Cargo.toml
	rm -rf .windlass
