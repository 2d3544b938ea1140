#!/usr/bin/env bash
# rotel, a collector that takes traces by OTLP and passes them on: tests/collector/.venv, which git ignores.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

folder="$root/tests/collector"
cmp -s "$folder/requirements.txt" "$folder/.venv/set-up-for" && exit
have python3 || fail "python3 is not on the PATH; the test of traces needs it." "Run: sudo apt-get install python3-venv"
python3 -m venv --clear "$folder/.venv" ||
  fail "python3 cannot make a virtual environment." "Run: sudo apt-get install python3-venv"
# Its requirements are for use as a library; the program in it needs none of them.
"$folder/.venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --requirement "$folder/requirements.txt"
program=("$folder"/.venv/lib/python3*/site-packages/rotel/rotel-agent)
chmod +x "${program[0]}"
ln -sf "${program[0]}" "$folder/.venv/bin/rotel-agent"
cp "$folder/requirements.txt" "$folder/.venv/set-up-for"
