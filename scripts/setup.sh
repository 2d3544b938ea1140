#!/usr/bin/env bash
# Sees to it that everything is there. Safe to run again and again: where nothing is missing it installs nothing, needs no root
# and no network, and is done in a second. Where it cannot install, it says what to install and how.
#
#   scripts/setup.sh           what building and running Windlass needs
#   scripts/setup.sh --tests   and what its tests need: the example plugins' languages, the tools of others that the registry is tested with, a container registry, test images
set -euo pipefail
source "$(dirname "$0")/lib.sh"
cd "$root"

tests=false
case "${1:-}" in
  "") ;;
  --tests) tests=true ;;
  *) fail "setup.sh knows --tests, not \"$1\"." ;;
esac

echo "Set-up"
phase "C compiler and system tools" scripts/setup-apt.sh
phase "Rust toolchain" scripts/setup-rust.sh
phase "Rust target for plugins (wasm32-wasip2)" scripts/setup-wasm-target.sh
phase "Node.js and npm" scripts/setup-node.sh
phase "container engine" scripts/setup-docker.sh
if $tests; then
  phase "container registry and other tools of the tests" scripts/setup-apt.sh --tests
  phase "tools of the example plugins' languages" scripts/setup-plugin-tools.sh
  phase "identity provider of the tests" scripts/setup-oidc.sh
  phase "tool that tests the API against its description" scripts/setup-schemathesis.sh
  phase "collector of traces" scripts/setup-collector.sh
  phase "stock tools of the registry tests (wkg, oras, cosign)" scripts/setup-stock-tools.sh
  phase "container images for the tests" scripts/test-images.sh
fi
