#!/usr/bin/env bash
# Holds the documents to what is there. A document that names something that is gone is worse than none.
#
#   links     every relative link in a Markdown file leads to a file
#   tests     every `module::name` in a table's column "test" is a function of that module
#   limits    docs/limits.md says what the constants in the code say
#   targets   every `make name` is in the Makefile, every `scripts/name` is a file
set -euo pipefail
source "$(dirname "$0")/lib.sh"
cd "$root"

problems=0
problem() {
  printf '%s: %s\n' "$1" "$2" >&2
  problems=$((problems + 1))
}

documents=()
while IFS= read -r -d '' document; do documents+=("${document#./}"); done < <(
  find . \( -name target -o -name node_modules -o -name .git -o -name .venv -o -name .windlass -o -path ./tools \) -prune -o -name '*.md' -print0 | sort -z
)
[ ${#documents[@]} -gt 0 ] || fail "no document was found."

# Each search may find nothing, which is no failure of it.
matches() { grep -oE "$@" || true; }
# The cells of one column of a document's tables, by the column's heading.
cells() {
  awk -F'|' -v heading="$2" '
    !/^\|/ { column = 0; inside = 0; next }
    !inside { inside = 1; for (i = 2; i < NF; i++) { name = $i; gsub(/^ +| +$/, "", name); if (name == heading) column = i }; next }
    column && !/^\|[-| :]+$/ { print $column }' "$1"
}
# is_test module::name: whether that function is in a file, or a folder, of the module's name.
is_test() {
  local module="${1%::*}"
  find host registry-server plugins tests xtask -name target -prune -o -name '*.rs' -print |
    grep -E "/${module##*::}(\.rs$|/)" | xargs -r grep -qE "fn ${1##*::}\("
}

for document in "${documents[@]}"; do
  while read -r link; do
    [ -e "$(dirname "$document")/$link" ] || problem "$document" "the link to $link leads nowhere"
  done < <(matches '\]\([^)#: ]+[^): ]*\)' "$document" | sed -E 's/^\]\(([^)#]*).*/\1/')

  while read -r name; do
    is_test "$name" || problem "$document" "there is no test \"$name\""
  done < <(cells "$document" test | matches '`[a-z][a-z_:0-9]+`' | tr -d '`')

  while read -r name; do
    grep -qE "^$name:" Makefile || problem "$document" "the Makefile has no target \"$name\""
  done < <(matches '`make [a-z-]+' "$document" | sed 's/^`make //')

  while read -r path; do
    [ -e "$path" ] || problem "$document" "there is no $path"
  done < <(matches '\bscripts/[a-z-]+\.sh' "$document")
done

scripts/limits.sh --check

[ "$problems" -eq 0 ] || fail "$problems problem(s) in the documents."
