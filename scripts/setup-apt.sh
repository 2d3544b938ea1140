#!/usr/bin/env bash
# What the build itself needs from the system: a C compiler and linker (SQLite and ring hold C), tar, and setsid.
# Looks for programs, not for packages, so that it is content on systems without apt.
#
#   scripts/setup-apt.sh           what building needs
#   scripts/setup-apt.sh --tests   and what the tests need: a container registry with passwords, a load generator, a static
#                                  busybox for images, a browser
set -euo pipefail
source "$(dirname "$0")/lib.sh"

tests=false
case "${1:-}" in
  "") ;;
  --tests) tests=true ;;
  *) fail "setup-apt.sh knows --tests, not \"$1\"." ;;
esac

packages=()
need() { have "$1" || packages+=("${@:2}"); }
need cc gcc libc6-dev
need ar binutils
need tar tar
need setsid util-linux
need sha256sum coreutils
[ -e /etc/ssl/certs/ca-certificates.crt ] || [ ! -e /etc/debian_version ] || packages+=(ca-certificates)

if $tests; then
  need docker-registry docker-registry
  need htpasswd apache2-utils
  need wrk wrk
  need chromium chromium
  [ -x /bin/busybox ] || packages+=(busybox-static)
fi

[ ${#packages[@]} -eq 0 ] || apt_install "a program that the build or its tests need" "${packages[@]}"
