#!/usr/bin/env bash
# The tools of others that the tests run against our registry: they show that it speaks the protocols that it says it speaks.
# All of it goes into tools/stock/bin, which git ignores, so it needs no root; where nothing is missing it installs nothing and
# needs no network. Keep that folder from one clean checkout to the next, and the two minutes of compiling are spent once.
#
#   wkg             components by name: get, publish, WIT packages      cargo install
#   oras, cosign    anything in an OCI registry; signatures             Debian's packages, unpacked
#
# docker-registry, htpasswd and wrk are ordinary packages of every Debian: scripts/setup-apt.sh --tests installs them.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

readonly STOCK="$root/tools/stock"
readonly WKG=0.16.1
readonly SUITE=trixie # the first release of Debian with oras and cosign; what they need of a system, older ones have too

wkg() {
  [ "$(cat "$STOCK/wkg-version" 2>/dev/null)" = "$WKG" ] && return
  have cargo || fail "cargo is not on the PATH; wkg is built with it." "Run: scripts/setup-rust.sh"
  # Without optimisation and debug information: it is started a few times, and compiled on every new machine.
  local target
  target="$(mktemp -d)"
  # shellcheck disable=SC2064 # the folder of now is meant
  trap "rm -rf '$target'" EXIT
  CARGO_PROFILE_DEV_DEBUG=0 CARGO_TARGET_DIR="$target" \
    cargo install --quiet --locked --debug --no-track --force --root "$STOCK" --version "$WKG" wkg ||
    fail "wkg $WKG could not be built." "The lines above say why. By hand: cargo install --locked --version $WKG --root tools/stock wkg"
  printf '%s\n' "$WKG" >"$STOCK/wkg-version"
}

# oras and cosign; each is a single program.
debian() {
  [ -x "$STOCK/bin/oras" ] && [ -x "$STOCK/bin/cosign" ] && return
  local work
  work="$(mktemp -d)"
  debian_unpack "$work" "$SUITE" "oras/$SUITE" "cosign/$SUITE" || {
    rm -rf "$work"
    fail "oras and cosign are missing, and cannot be had from Debian here: $debian_problem" \
      "Install oras 1.2 or newer and cosign 2.5 or newer, and put both (or links to them) into tools/stock/bin."
  }
  mv "$work/usr/bin/oras" "$work/usr/bin/cosign" "$STOCK/bin/"
  rm -rf "$work"
  "$STOCK/bin/oras" version && "$STOCK/bin/cosign" version
}

mkdir -p "$STOCK/bin"
debian
wkg
