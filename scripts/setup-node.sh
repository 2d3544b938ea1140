#!/usr/bin/env bash
# Looks for Node.js and npm: the web UI and the JavaScript example plugin are built with them. Never installs them.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

readonly WANTED=20 # the oldest release that the JavaScript component tools support
{ have node && have npm; } || fail "node and npm are not on the PATH; the web UI and the JavaScript example plugin need them." \
  "Install Node.js $WANTED or newer (Debian 13 and later: sudo apt-get install nodejs npm)."
found="$(node --version)"
found="${found#v}"
[ "${found%%.*}" -ge "$WANTED" ] || fail "node is $found; version $WANTED or newer is needed." \
  "Install a newer Node.js, then run the same command again."
