# shellcheck shell=bash
# Shared by the scripts in this folder; sourced, never run. Expects `set -euo pipefail` and bash 5.

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

# What went wrong and what to do next, then the end.
fail() {
  printf '\nwindlass: %s\n' "$1" >&2
  shift
  [ $# -eq 0 ] || printf '  %s\n' "$@" >&2
  exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# Runs a command as one line of output: its title, then how long it took. What the command prints goes to a log file and is
# shown only when it fails.
phase() {
  local title="$1" began="$EPOCHREALTIME" log status=0
  shift
  mkdir -p "$root/.windlass/log"
  log="$root/.windlass/log/$(printf '%s' "$title" | tr -c 'a-zA-Z0-9' '-').log"
  printf '  %-52s' "$title"
  # A script of its own or a program, never a function: bash switches `set -e` off inside a tested function.
  "$@" >"$log" 2>&1 </dev/null || status=$?
  if [ "$status" -ne 0 ]; then
    printf ' failed\n'
    tail -n 40 "$log" >&2
    printf '\n  All that it printed: %s\n' "$log" >&2
    exit "$status"
  fi
  printf ' %6s s\n' "$(since "$began")"
}

# Seconds since a value of EPOCHREALTIME, with one decimal.
since() {
  # The separator of EPOCHREALTIME follows the locale; without it, it is microseconds.
  local now="${EPOCHREALTIME//[.,]/}" then="${1//[.,]/}" tenths
  tenths=$(((now - then + 50000) / 100000))
  printf '%d.%d' $((tenths / 10)) $((tenths % 10))
}

# Refreshes apt's lists; a new machine has none, and old ones name packages that are no longer there.
apt_update() {
  [ "$(id -u)" -eq 0 ] || fail "apt's package lists are missing or too old." "Run: sudo apt-get update"
  apt-get -qq update
}

apt_lists_missing() { ! compgen -G '/var/lib/apt/lists/*_Packages*' >/dev/null; }

# apt_install WHY PACKAGE...: call it only when something is missing.
apt_install() {
  local why="$1"
  shift
  have apt-get || fail "$why is missing, and this machine has no apt to install it with." \
    "Install what corresponds to these Debian packages: $*"
  [ "$(id -u)" -eq 0 ] || fail "$why is missing, and installing it needs root." "Run: sudo apt-get install $*"
  if apt_lists_missing; then apt_update; fi
  local install=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install "$@")
  "${install[@]}" || { apt_update && "${install[@]}"; } ||
    fail "apt could not install: $*" "The lines above say why. Once it is mended, run the same command again."
}

# Whether a container engine answers. The client honours DOCKER_HOST and contexts, so this is the engine that will be used.
engine_answers() { have docker && timeout 10 docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

# debian_unpack FOLDER "SUITE..." PACKAGE/SUITE...: downloads packages of Debian, also of releases that this machine does not run, and
# unpacks them below a folder that is there. It installs nothing and needs no root: lists and cache are its own, so that the system's
# stay as they are. The mirrors are the ones that the machine uses; apt checks signatures as always.
# Where it cannot, it says why in debian_problem and fails; each step is tested by hand, because bash switches `set -e` off in a tested
# function.
debian_problem=
debian_unpack() {
  local folder="$1" suites="$2" work uris mirror security suite
  shift 2
  { have apt-get && have dpkg-deb; } || { debian_problem="this is not a Debian system."; return 1; }
  [ "$(dpkg --print-architecture)" = amd64 ] || { debian_problem="this is not an amd64 machine."; return 1; }
  work="$(mktemp -d)" || { debian_problem="there is no temporary folder."; return 1; }
  mkdir -p "$work"/{sources,lists/partial,cache/archives/partial,debs}
  uris="$(apt-get --print-uris update | sed -n "s|^'\([^']*\)/dists/.*|\1|p" | sort -u)"
  mirror="$(grep -m1 '/debian$' <<<"$uris")" || { rm -rf "$work"; debian_problem="apt knows no Debian mirror."; return 1; }
  security="$(grep -m1 '/debian-security$' <<<"$uris")" || security="$mirror-security"
  for suite in $suites; do
    local at="$mirror"
    [ "$suite" = "${suite%-security}" ] || at="$security"
    printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n' \
      "$at" "$suite" >"$work/sources/$suite.sources"
  done
  local apt=(apt-get -qq -o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$work/sources"
    -o "Dir::State::Lists=$work/lists" -o "Dir::Cache=$work/cache" -o APT::Sandbox::User=root)
  if ! "${apt[@]}" update; then
    debian_problem="the Debian mirror does not answer."
  elif ! (cd "$work/debs" && "${apt[@]}" download "$@"); then
    debian_problem="the packages could not be downloaded: $*"
  elif ! printf '%s\0' "$work"/debs/*.deb | xargs -0 -I DEB dpkg-deb -x DEB "$folder"; then
    debian_problem="the packages could not be unpacked: $*"
  else
    rm -rf "$work"
    return 0
  fi
  rm -rf "$work"
  return 1
}
