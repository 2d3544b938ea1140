#!/usr/bin/env bash
# Every check and every test, cheapest first, so that a failure shows early. Set-up is done when it is needed.
#
# On what is compiled: clippy and rustdoc share one pass that only checks the dependencies; the tests and the demo share another that
# compiles them (one profile, the same features). There is no third.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
cd "$root"

readonly FAILPOINTS=windlass-cli/failpoints

step() { printf '\n== %s (after %d s)\n' "$1" "$SECONDS"; }

scripts/setup.sh --tests

step "formatting and documents"
make -s fmt-check docs-check

# Before anything that compiles: its files are compiled into the server.
step "web UI: types, lint, unit tests, build, budget of the first page"
scripts/build-ui.sh --check

step "lint"
make -s clippy

step "reference documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --locked --quiet --workspace --no-deps --document-private-items

step "plugins: all components, and the bundled ones' own tests"
scripts/build-plugins.sh --all
make -s test-plugins

# The programs that the end-to-end tests run, with crashes on demand built in.
step "windlass and registry-server"
cargo build --locked --workspace --bins --features "$FAILPOINTS"

step "examples in the documentation"
cargo test --locked --quiet --workspace --doc --features "$FAILPOINTS"

# The last, so that its closing line is the last line.
step "tests"
if cargo nextest --version >/dev/null 2>&1; then
  exec cargo nextest run --locked --workspace --features "$FAILPOINTS" --no-fail-fast
fi
exec cargo test --locked --workspace --features "$FAILPOINTS" --lib --bins --tests --no-fail-fast
