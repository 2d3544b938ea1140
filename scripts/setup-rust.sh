#!/usr/bin/env bash
# Looks for the Rust toolchain; never installs one, because which one and by what means is yours to choose.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

wanted="$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$root/Cargo.toml")"
{ have cargo && have rustc; } || fail "cargo and rustc are not on the PATH." \
  "Install Rust $wanted or newer with rustup (see the Rust project's install page), then open a new shell."
found="$(rustc --version | cut -d' ' -f2)"
[ "$(printf '%s\n%s\n' "$wanted" "${found%%-*}" | sort -V | head -n1)" = "$wanted" ] ||
  fail "rustc is $found; Windlass needs $wanted or newer." "Run: rustup update stable"
