#!/usr/bin/env bash
# docs/limits.md, made from the constants and their doc comments, so that it cannot say anything else than the code.
#
#   scripts/limits.sh            prints the document
#   scripts/limits.sh --write    writes docs/limits.md
#   scripts/limits.sh --check    fails if docs/limits.md is not what would be written
#
# A limit is a constant that is a number or a duration, and that is in a file limits.rs or has a name that says so (MAX_…, …_BYTES, …).
set -euo pipefail
source "$(dirname "$0")/lib.sh"
cd "$root"

# folder, then what its section is called
readonly SECTIONS=(
  "host/runtime/src|The sandbox: one call, one component"
  "host/capabilities/src|Containers, artifacts, secrets, HTTP, logs"
  "host/manifest/src|Pipeline files"
  "host/engine/src|Runs"
  "host/report/src|What a run tells"
  "host/driver/src|Carrying runs out"
  "host/server/src|The server"
  "host/store/src|Stored runs and logs"
  "host/package/src|Plugins and their manifests"
  "host/rehearse/src|Recorded sessions of plugins"
  "host/author/src|Making and testing plugins"
  "registry-server/src|The registry server"
  "host/cli/src|The command line"
  "plugins|The bundled plugins"
)

rows() {
  find "$1" -name target -prune -o -name '*.rs' -print | LC_ALL=C sort | while read -r file; do
    # Sizes are written as 64 * MIB, 64 << 20 or 64 * 1024 * 1024; durations as Duration::from_secs(30).
    awk -v all="$([ "$(basename "$file")" = limits.rs ] && echo 1 || echo 0)" '
      function readable(text,   parts, count, i, factor, product) {
        if (text ~ /from_secs\(/) { sub(/.*from_secs\(/, "", text); sub(/\)$/, " s", text); return text }
        if (text ~ /from_millis\(/) { sub(/.*from_millis\(/, "", text); sub(/\)$/, " ms", text); return text }
        sub(/ as [a-z0-9]+$/, "", text)
        if (text !~ /KIB|MIB|GIB|1024|<</) return text
        count = split(text, parts, / \* /); product = 1
        for (i = 1; i <= count; i++) {
          factor = parts[i]; gsub(/_/, "", factor)
          if (factor == "KIB") factor = 1024
          else if (factor == "MIB") factor = 1048576
          else if (factor == "GIB") factor = 1073741824
          else if (factor ~ /^[0-9]+ << [0-9]+$/) { split(factor, shift, / << /); factor = shift[1] * 2 ^ shift[2] }
          else if (factor !~ /^[0-9]+$/) return text
          product *= factor
        }
        if (product % 1073741824 == 0) return product / 1073741824 " GiB"
        if (product % 1048576 == 0) return product / 1048576 " MiB"
        return product / 1024 " KiB"
      }
      /#\[cfg\(test\)\]/ { exit }
      /^ *\/\/\/ ?/ { line = $0; sub(/^ *\/\/\/ ?/, "", line); doc = doc (doc == "" ? "" : " ") line; next }
      /^ *(pub |pub\([a-z]+\) )?const [A-Z_0-9]+: (usize|u8|u16|u32|u64|i64|Duration|std::time::Duration) = .*;/ {
        name = $0; sub(/.*const /, "", name); type = name; sub(/:.*/, "", name)
        value = $0; sub(/[^=]*= */, "", value); sub(/;.*/, "", value)
        if (doc != "" && name !~ /^[KMG]IB$/ && (all || name ~ /^(MAX|MIN|DEFAULT|TOTAL)_|_(BYTES|LIMIT|LIMITS|TIMEOUT|DEADLINE|GRACE|MS|SECS|SECONDS|DEPTH|LEN|COUNT|WAIT|CAPACITY)$/)) {
          gsub(/\[`|`\]/, "`", doc); gsub(/\|/, "\\|", doc)
          value = readable(value)
          if (value ~ /[a-z]{3}|::|[A-Z]{2}/ && value !~ / (KiB|MiB|GiB)$/) { doc = ""; next } # made from other constants, which have rows of their own
          printf "| `%s` | %s | %s |\n", name, value, doc
        }
      }
      { doc = "" }' "$file"
  done
}

document() {
  cat <<'HEAD'
# Limits

Every limit is a constant in the code, with its unit, its default and its reason; most have a test that hits them. This page is made from those
constants by `scripts/limits.sh --write`; change the comment there, not the text here.

What a plugin is granted (memory and processors of containers, images, hosts) is not here: that is in the grants file.
HEAD
  local section folder body
  for section in "${SECTIONS[@]}"; do
    folder="${section%%|*}"
    [ -d "$folder" ] || continue
    body="$(rows "$folder")"
    [ -n "$body" ] || continue
    printf '\n## %s\n\n| constant | value | what and why |\n|---|---|---|\n%s\n' "${section#*|}" "$body"
  done
}

case "${1:-}" in
  "") document ;;
  --write) document >docs/limits.md ;;
  --check)
    document | diff -u docs/limits.md - >&2 || fail "docs/limits.md is not what the code says." "Run: scripts/limits.sh --write"
    ;;
  *) fail "limits.sh knows --write and --check, not \"$1\"." ;;
esac
