#!/usr/bin/env bash
# Builds the plugins' components, each with its language's ordinary tools. What is up to date is not built again.
#
#   scripts/build-plugins.sh         the bundled plugins: plugins/target/wasm32-wasip2/release/*.wasm
#   scripts/build-plugins.sh --all   and the example plugins in each language: examples/plugins/*/dist/*.wasm
#
# Prints each component with its size, and how long its build took. Set-up is scripts/setup.sh, with --tests for --all.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

all=false
case "${1:-}" in
  "") ;;
  --all) all=true ;;
  *) fail "build-plugins.sh knows --all, not \"$1\"." ;;
esac

# show BEGAN FILE...: one line a component, with the time since BEGAN.
show() {
  local began="$1" file
  shift
  for file in "$@"; do
    printf '  %-62s %9d bytes %6s s\n' "${file#"$root/"}" "$(stat -c %s "$file")" "$(since "$began")"
  done
}

# A hash of all files under the given paths, by name and content. Links are followed: wit/ is one.
inputs() { find -L "$@" -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum; }

# build_when_changed COMPONENT INPUTS... -- COMMAND...: in the current folder, unless the component was built from exactly these.
build_when_changed() {
  local component="$1" from=() stamp began="$EPOCHREALTIME"
  shift
  while [ "$1" != -- ]; do
    from+=("$1")
    shift
  done
  shift
  stamp="$(inputs "${from[@]}")"
  if ! { [ -e "$component" ] && [ "$(cat "$component.from" 2>/dev/null)" = "$stamp" ]; }; then
    mkdir -p "$(dirname "$component")"
    rm -f "$component.from"
    "$@" >"$component.log" 2>&1 || { cat "$component.log" >&2; fail "building ${PWD#"$root/"} failed."; }
    printf '%s' "$stamp" >"$component.from"
  fi
  show "$began" "$PWD/$component"
}

# One build for all: cargo knows itself what is up to date.
bundled() {
  local began="$EPOCHREALTIME" built="$root/plugins/target/wasm32-wasip2/release"
  (cd "$root/plugins" && cargo build --quiet --locked --release --target wasm32-wasip2)
  show "$began" "$built"/windlass_{shell,artifact,container,agent,local}.wasm
}

# cargo_component FOLDER: a Rust plugin of its own, whose component is called like its package.
cargo_component() {
  local began="$EPOCHREALTIME" built
  cd "$root/examples/plugins/$1"
  cargo build --quiet --locked --release --target wasm32-wasip2
  mkdir -p dist
  for built in target/wasm32-wasip2/release/*.wasm; do
    local component
    component="dist/$(basename "$built" | tr _ -)"
    cmp -s "$built" "$component" || cp "$built" "$component"
    show "$began" "$PWD/$component"
  done
}

rust() { cargo_component rust; }

scripted_agent() { cargo_component scripted-agent; }

javascript() {
  cd "$root/examples/plugins/js"
  [ -x node_modules/.bin/componentize-qjs ] || missing
  build_when_changed dist/greet-js.wasm src wit package.json package-lock.json -- npm run build
}

python() {
  cd "$root/examples/plugins/python"
  [ -x .venv/bin/componentize-py ] || missing
  find src -name __pycache__ -prune -exec rm -r {} +
  build_when_changed dist/greet-python.wasm src wit requirements.txt -- \
    .venv/bin/componentize-py -d wit -w plugin componentize --python-path src --stub-wasi -o dist/greet-python.wasm plugin
}

c() {
  local began="$EPOCHREALTIME"
  cd "$root/examples/plugins/c"
  [ -x "${WASI_SDK_PATH:-$root/tools/wasi-sdk}/bin/wasm32-wasip2-clang" ] || missing
  make --silent
  show "$began" "$PWD/dist/greet-c.wasm"
}

missing() { fail "the tools for ${PWD#"$root/"} are not set up." "Run: scripts/setup-plugin-tools.sh"; }

bundled
if $all; then
  (rust)
  (scripted_agent)
  (javascript)
  (python)
  (c)
fi
