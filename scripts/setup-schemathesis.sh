#!/usr/bin/env bash
# schemathesis, which holds the server against its OpenAPI document: tests/schemathesis/.venv, which git ignores.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

folder="$root/tests/schemathesis"
cmp -s "$folder/requirements.txt" "$folder/.venv/set-up-for" && exit
have python3 || fail "python3 is not on the PATH; the test of the API's description needs it." "Run: sudo apt-get install python3-venv"
python3 -m venv --clear "$folder/.venv" ||
  fail "python3 cannot make a virtual environment." "Run: sudo apt-get install python3-venv"
"$folder/.venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$folder/requirements.txt"
cp "$folder/requirements.txt" "$folder/.venv/set-up-for"
