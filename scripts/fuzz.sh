#!/usr/bin/env bash
# Fuzzes what reads text: each target for some seconds, with what its corpus holds as a beginning.
#
#   scripts/fuzz.sh [SECONDS] [TARGET…]     120 seconds each, all targets
#   scripts/fuzz.sh --keep [TARGET…]        makes the corpus small again: of what was found, what covers more than the rest
#
# An input that breaks something is left in fuzz/artifacts/TARGET/. Mend it, then copy it to fuzz/corpus/TARGET/: `make test` replays
# that. Needs a C++ compiler, for libFuzzer; no sanitizer and so no other toolchain, since what is fuzzed has no unsafe code.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
cd "$root"

readonly VERSION=0.13.2
# One input may take this long, in seconds, and all of it this much memory, in MiB.
readonly SLOW=10 MEMORY=2048
# A corpus that is kept has at most this many bytes; all of them together, 1 MiB.
readonly KEPT=300000
readonly BUILT=fuzz/target/x86_64-unknown-linux-gnu/release

seconds=120 keep=
case "${1:-}" in
  --keep) keep=1 && shift ;;
  [0-9]*) seconds="$1" && shift ;;
esac
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
  for program in fuzz/fuzz_targets/*.rs; do targets+=("$(basename "$program" .rs)"); done
fi

have c++ || apt_install "a C++ compiler" g++
cargo fuzz --version >/dev/null 2>&1 ||
  phase "Installing cargo-fuzz" cargo install --locked --version "$VERSION" cargo-fuzz
phase "Building the fuzz targets" cargo fuzz build --sanitizer none --target x86_64-unknown-linux-gnu

# The targets that share a dictionary.
dictionary() {
  case "$1" in
    templates) echo fuzz/dictionaries/expressions.dict ;;
    *) echo "fuzz/dictionaries/$1.dict" ;;
  esac
}

for target in "${targets[@]}"; do
  [ -x "$BUILT/$target" ] || fail "there is no fuzz target \"$target\"." "Those there are: $(cd fuzz/fuzz_targets && echo *.rs)"
  corpus="fuzz/corpus/$target"
  mkdir -p "$corpus" "fuzz/artifacts/$target"
  if [ -n "$keep" ]; then
    small="$(mktemp -d)"
    # By the code that an input reaches, not by how often it does.
    "$BUILT/$target" -set_cover_merge=1 -use_counters=0 "$small" "$corpus" 2>&1 | tail -n 1
    rm -rf "$corpus"
    # The largest go first where it is still too much.
    ls -S "$small" | while read -r input && [ "$(cat "$small"/* | wc -c)" -gt "$KEPT" ]; do rm "$small/$input"; done
    mv "$small" "$corpus"
    chmod 755 "$corpus"
    continue
  fi
  options=("-max_total_time=$seconds" "-timeout=$SLOW" "-rss_limit_mb=$MEMORY" "-artifact_prefix=fuzz/artifacts/$target/")
  words="$(dictionary "$target")"
  [ ! -f "$words" ] || options+=("-dict=$words")
  log="fuzz/artifacts/$target.log"
  printf '  %-14s' "$target"
  if ! "$BUILT/$target" "${options[@]}" -print_final_stats=1 "$corpus" >"$log" 2>&1; then
    printf ' found something\n'
    grep -A 4 -m 1 -E 'panicked|ALARM|ERROR' "$log" >&2 || true
    fail "an input breaks the target $target." "$(grep -o 'Test unit written to .*' "$log" || true)" "All that it printed: $log"
  fi
  awk '/number_of_executed_units/ { runs = $2 } /cov: / { for (i = 1; i < NF; i++) if ($i == "cov:") edges = $(i + 1) }
    END { printf " %10d inputs tried, %6d edges covered\n", runs, edges }' "$log"
done
