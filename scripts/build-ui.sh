#!/usr/bin/env bash
# Builds the web UI into ui/dist, which is compiled into `windlass`. What is up to date is not built again; with ui/node_modules there,
# no network is needed.
#
#   scripts/build-ui.sh           build
#   scripts/build-ui.sh --check   and check types, lint, formatting and unit tests
set -euo pipefail
source "$(dirname "$0")/lib.sh"
cd "$root/ui"

check=false
case "${1:-}" in
  "") ;;
  --check) check=true ;;
  *) fail "build-ui.sh knows --check, not \"$1\"." ;;
esac

"$root/scripts/setup-node.sh"

if ! cmp -s package-lock.json node_modules/.set-up-for; then
  npm ci --no-audit --no-fund
  cp package-lock.json node_modules/.set-up-for
fi

# The API's description is an input: the types are made of it.
sources() { find . \( -name node_modules -o -name dist \) -prune -o -type f -not -name '*.tsbuildinfo' -not -path ./src/api/schema.ts -print0; }
stamp="$({ sources | sort -z | xargs -0 sha256sum; sha256sum <"$root/host/server/openapi.json"; } | sha256sum)"

if [ ! -e dist/index.html ] || [ "$(cat node_modules/.built-from 2>/dev/null)" != "$stamp" ]; then
  npm run --silent build
  printf "%s" "$stamp" >node_modules/.built-from
fi
if $check && [ "$(cat node_modules/.checked 2>/dev/null)" != "$stamp" ]; then
  npm run --silent check
  printf '%s' "$stamp" >node_modules/.checked
fi
