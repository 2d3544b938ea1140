#!/usr/bin/env bash
# What the build itself needs from the system: a C compiler and linker (SQLite and ring hold C), tar, and setsid.
# Looks for programs, not for packages, so that it is content on systems without apt.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

packages=()
need() { have "$1" || packages+=("${@:2}"); }
need cc gcc libc6-dev
need ar binutils
need tar tar
need setsid util-linux
need sha256sum coreutils
[ -e /etc/ssl/certs/ca-certificates.crt ] || [ ! -e /etc/debian_version ] || packages+=(ca-certificates)

[ ${#packages[@]} -eq 0 ] || apt_install "a program that the build needs" "${packages[@]}"
