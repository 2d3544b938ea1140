#!/usr/bin/env bash
# The Rust target that plugins are built for. With rustup it is one line, which is what the documents say:
#
#     rustup target add wasm32-wasip2
#
# Where the target is there, this script does nothing. Where it is not, and rustup's downloads are not to be had (build machines
# that reach package registries only), it builds the target's standard library from Debian's packages: `rust-src` of exactly the
# active compiler's version, and `wasi-libc`. It asks rustup for nothing. No other file knows of this way.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

readonly TARGET=wasm32-wasip2
sysroot="$(rustc --print sysroot)"
libdir="$sysroot/lib/rustlib/$TARGET/lib"
compgen -G "$libdir/libstd-*.rlib" >/dev/null && [ -e "$libdir/self-contained/crt1-command.o" ] && exit 0

add_it_with_rustup() {
  fail "the Rust target $TARGET is not installed, and cannot be built here: $1" "Run: rustup target add $TARGET"
}
{ have apt-get && have dpkg-deb; } || add_it_with_rustup "this is not a Debian system."
[ -w "$sysroot/lib/rustlib" ] || add_it_with_rustup "$sysroot is not writable."
[ -x "$sysroot/lib/rustlib/$(rustc -vV | sed -n 's/^host: //p')/bin/wasm-component-ld" ] ||
  add_it_with_rustup "this toolchain has no wasm-component-ld."

version="$(rustc --version | cut -d' ' -f2)"
work="$(mktemp -d)"
staged=""
trap 'rm -rf "$work" ${staged:+"$staged"}' EXIT

# The packages: from later releases than the machine's own, with lists and a cache of our own, so that the system's sources
# stay as they are. The mirror is the one that the machine uses; apt checks signatures as always.
mkdir -p "$work"/{sources,lists/partial,cache/archives/partial,debs,root}
mirror="$(apt-get --print-uris update | sed -n "s|^'\([^']*/debian\)/dists/.*|\1|p" | sed -n 1p)"
[ -n "$mirror" ] || add_it_with_rustup "apt knows no Debian mirror."
for suite in trixie-backports trixie sid; do
  printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n' \
    "$mirror" "$suite" >"$work/sources/$suite.sources"
done
apt=(-qq -o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$work/sources" -o "Dir::State::Lists=$work/lists"
  -o "Dir::Cache=$work/cache" -o APT::Sandbox::User=root)
apt-get "${apt[@]}" update || add_it_with_rustup "the Debian mirror does not answer."
rust_src="$(apt-cache "${apt[@]}" madison rust-src | awk -v v="$version" 'index($3, v "+") == 1 && !n++ { print $3 }')"
[ -n "$rust_src" ] || add_it_with_rustup "Debian has no source of Rust $version."
(cd "$work/debs" && apt-get "${apt[@]}" download "rust-src=$rust_src" wasi-libc/trixie-backports) ||
  add_it_with_rustup "the packages could not be downloaded."
dpkg-deb --fsys-tarfile "$work"/debs/rust-src_*.deb | tar -x -C "$work/root" --wildcards './usr/src/rustc-*/library'
dpkg-deb -x "$work"/debs/wasi-libc_*.deb "$work/root"
library="$(echo "$work"/root/usr/src/rustc-*/library)"
crt="$work/root/usr/lib/$TARGET"

# The build: an empty crate, so that cargo builds nothing but the standard library. The two private switches are what
# let a stable compiler do it; they are used here, for its own library, and nowhere else.
mkdir -p "$work/empty/src"
: >"$work/empty/src/lib.rs"
printf '%s\n' '[package]' 'name = "sysroot-probe"' 'version = "0.0.0"' 'edition = "2021"' '[workspace]' '[profile.release]' \
  'opt-level = 3' 'codegen-units = 1' 'panic = "abort"' 'debug = 0' >"$work/empty/Cargo.toml"
(
  cd "$work/empty"
  # Flags of the outer build (a CI that sets RUSTFLAGS, say) do not belong to the library.
  env -u CARGO_ENCODED_RUSTFLAGS -u CARGO_BUILD_TARGET RUSTC_BOOTSTRAP=1 "__CARGO_TESTS_ONLY_SRC_ROOT=$library" \
    RUSTFLAGS="--remap-path-prefix=$library=/rustc/library -Cembed-bitcode=yes -Clink-self-contained=no -Lnative=$crt" \
    CARGO_TARGET_DIR="$work/target" \
    cargo build -q --release -Zbuild-std=std,panic_abort,test --target "$TARGET"
)

# The installation: assembled beside its place, then moved there at once, so that a half-written target is never taken for one.
mkdir -p "$(dirname "$libdir")"
staged="$(mktemp -d "$(dirname "$libdir")/lib.XXXXXX")"
chmod 755 "$staged"
cp "$work/target/$TARGET/release/deps/"*.rlib "$staged/"
rm -f "$staged"/libsysroot_probe*.rlib
mkdir "$staged/self-contained"
cp "$crt"/crt1-command.o "$crt"/crt1-reactor.o "$crt"/libc.a "$staged/self-contained/"
rm -rf "$libdir"
mv "$staged" "$libdir"
staged=""
echo "$TARGET: the standard library of Rust $version, built from Debian's rust-src $rust_src"
