#!/usr/bin/env bash
# The OpenID Connect provider that the tests of signing in start on loopback: tests/oidc/node_modules, which git ignores.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

folder="$root/tests/oidc"
cmp -s "$folder/package-lock.json" "$folder/node_modules/.set-up-for" && exit
have npm || fail "npm is not on the PATH; the tests of signing in need it." "Install Node.js 20 or newer."
(cd "$folder" && npm ci --no-audit --no-fund)
cp "$folder/package-lock.json" "$folder/node_modules/.set-up-for"
