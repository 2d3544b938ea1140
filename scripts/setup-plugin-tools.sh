#!/usr/bin/env bash
# What building plugins in JavaScript, TypeScript, Python and C needs: the examples, and what `windlass plugin new` writes. All of it goes into folders of this checkout that git
# ignores, so it needs no root; where nothing is missing it installs nothing and needs no network.
#
#   JavaScript   examples/plugins/js/node_modules   npm ci
#   TypeScript   tools/typescript/node_modules      npm ci, for the template that `windlass plugin new --lang ts` writes
#   Python       examples/plugins/python/.venv      pip install -r requirements.txt
#   C            tools/wasi-sdk                     put together from Debian's packages, unless WASI_SDK_PATH names a WASI SDK
set -euo pipefail
source "$(dirname "$0")/lib.sh"

readonly PLUGINS="$root/examples/plugins"
readonly SDK="$root/tools/wasi-sdk"
readonly CLANG=22        # the release of clang that Debian's security updates carry for stable releases
readonly PYTHON_WANTED=10 # the oldest Python 3 that componentize-py supports

javascript() {
  local folder="$PLUGINS/js"
  cmp -s "$folder/package-lock.json" "$folder/node_modules/.set-up-for" && return
  have npm || fail "npm is not on the PATH; the JavaScript example plugin needs it." "Install Node.js 20 or newer."
  (cd "$folder" && npm ci --no-audit --no-fund)
  cp "$folder/package-lock.json" "$folder/node_modules/.set-up-for"
}

typescript() {
  local template="$root/host/author/templates/ts" folder="$root/tools/typescript"
  cmp -s "$template/package-lock.json" "$folder/node_modules/.set-up-for" && return
  have npm || fail "npm is not on the PATH; plugins in TypeScript need it." "Install Node.js 20 or newer."
  mkdir -p "$folder"
  local file
  for file in package.json package-lock.json; do sed 's/@name@/tools/' "$template/$file" >"$folder/$file"; done
  (cd "$folder" && npm ci --no-audit --no-fund)
  cp "$template/package-lock.json" "$folder/node_modules/.set-up-for"
}

python() {
  local folder="$PLUGINS/python"
  cmp -s "$folder/requirements.txt" "$folder/.venv/set-up-for" && return
  have python3 || fail "python3 is not on the PATH; the Python example plugin needs it." "Run: sudo apt-get install python3-venv"
  python3 -c "import sys; sys.exit(sys.version_info < (3, $PYTHON_WANTED))" ||
    fail "$(python3 --version) is too old; the Python example plugin needs 3.$PYTHON_WANTED or newer."
  python3 -m venv --clear "$folder/.venv" ||
    fail "python3 cannot make a virtual environment." "Run: sudo apt-get install python3-venv"
  "$folder/.venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$folder/requirements.txt"
  cp "$folder/requirements.txt" "$folder/.venv/set-up-for"
}

c() {
  [ -x "${WASI_SDK_PATH:-$SDK}/bin/wasm32-wasip2-clang" ] && return
  [ -z "${WASI_SDK_PATH:-}" ] || no_sdk "WASI_SDK_PATH is $WASI_SDK_PATH, which holds no bin/wasm32-wasip2-clang."
  work="$(mktemp -d)"
  trap 'rm -rf "$work"' EXIT
  mkdir "$work/root"
  debian_unpack "$work/root" "bookworm bookworm-security trixie-backports" wasi-libc/trixie-backports \
    {"clang-$CLANG","libclang-cpp$CLANG","libllvm$CLANG","libclang-common-$CLANG-dev","libclang-rt-$CLANG-dev-wasm32"}/bookworm-security ||
    no_sdk "$debian_problem"

  # The layout of a WASI SDK, as far as building a component needs it.
  local new="$work/wasi-sdk" target=wasm32-wasip2
  mkdir -p "$new"/{bin,lib,share/wasi-sysroot/{include,lib}}
  mv "$work/root/usr/lib/llvm-$CLANG" "$new/lib/llvm"
  mv "$work/root"/usr/lib/x86_64-linux-gnu/lib{LLVM,clang-cpp}*.so* "$new/lib/"
  mv "$work/root/usr/include/$target" "$new/share/wasi-sysroot/include/"
  mv "$work/root/usr/lib/$target" "$new/share/wasi-sysroot/lib/"
  cat >"$new/bin/wasm32-wasip2-clang" <<'WRAPPER'
#!/bin/sh
# clang for wasm32-wasip2, as a WASI SDK has it. The linkers are the ones that every Rust toolchain brings.
sdk="$(cd "$(dirname "$0")/.." && pwd)"
rust="$(rustc --print sysroot)/lib/rustlib/x86_64-unknown-linux-gnu/bin"
export PATH="$rust:$rust/gcc-ld:$PATH" LD_LIBRARY_PATH="$sdk/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
exec "$sdk/lib/llvm/bin/clang" --target=wasm32-wasip2 --sysroot="$sdk/share/wasi-sysroot" \
  -resource-dir "$sdk/lib/llvm/lib/clang/CLANG" "$@"
WRAPPER
  sed -i "s/CLANG/$CLANG/" "$new/bin/wasm32-wasip2-clang"
  chmod +x "$new/bin/wasm32-wasip2-clang"
  "$new/bin/wasm32-wasip2-clang" --version || no_sdk "Debian's clang $CLANG does not run on this system."
  mkdir -p "${SDK%/*}"
  rm -rf "$SDK"
  mv "$new" "$SDK"
}

no_sdk() {
  fail "there is no WASI SDK for the C example plugin, and none can be put together here: $1" \
    "Install a WASI SDK (release 25 or newer) and set WASI_SDK_PATH to its folder."
}

javascript
typescript
python
c
