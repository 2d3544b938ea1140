#!/usr/bin/env bash
# A container engine that answers. One that does is left alone, whatever it is; otherwise Docker is installed (Debian's
# package, when there is no dockerd) and started.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

readonly READY_SECONDS=30 # a first start on an empty disk takes 0.5 s; a slow and busy one, some seconds
readonly SOCKET=/var/run/docker.sock
readonly LOG="${WINDLASS_DOCKERD_LOG:-/var/log/windlass-dockerd.log}"

engine_answers && exit 0

[ -z "${DOCKER_HOST:-}" ] || fail "DOCKER_HOST is $DOCKER_HOST, and no engine answers there." \
  "Start that engine, or unset DOCKER_HOST to use the one of this machine."
[ "$(uname -s)" = Linux ] || fail "no container engine answers." "Start Docker Desktop (or another engine), then try again."
if [ "$(id -u)" -ne 0 ]; then
  [ ! -S "$SOCKET" ] || [ -w "$SOCKET" ] || fail "you may not use the container engine ($SOCKET)." \
    "Run: sudo usermod -aG docker \"\$USER\"    then log in again."
  have dockerd || fail "there is no container engine, and installing one needs root." \
    "Run: sudo apt-get install docker.io iptables" "     sudo usermod -aG docker \"\$USER\"    then log in again."
  fail "the container engine does not answer, and starting it needs root." "Run: sudo systemctl start docker"
fi

packages=()
have dockerd || packages+=(docker.io)
have iptables || packages+=(iptables)
[ ${#packages[@]} -eq 0 ] || apt_install "a container engine" "${packages[@]}"
# From Debian 13 on, the client is a package of its own.
have docker || apt_install "the client of the container engine" docker-cli

# There is no event to wait for: an engine says that it is ready by answering. So it is asked, for a bounded time.
wait_for_engine() {
  local end=$((SECONDS + READY_SECONDS))
  while ((SECONDS < end)); do
    engine_answers && return 0
    sleep 0.2
  done
  return 1
}

if [ -d /run/systemd/system ]; then
  systemctl start docker || true
  wait_for_engine || fail "docker was started by systemd and does not answer within $READY_SECONDS s." \
    "Run: journalctl -u docker -e"
  exit 0
fi

# One that runs is somebody else's, or was started by the package's installation a moment ago: it is waited for, never killed.
if grep -qsE '^[0-9]+ \(dockerd\) [^ZX]' /proc/[0-9]*/stat; then
  wait_for_engine || fail "a dockerd is running and does not answer within $READY_SECONDS s." \
    "Look at its log, or end it, and run the same command again."
  exit 0
fi
rm -f /var/run/docker.pid # left behind by an engine that is gone; dockerd would refuse to start

# A session of its own and no inherited descriptor: it outlives this script, and nobody waits for it through a pipe.
(
  exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
  setsid dockerd --host "unix://$SOCKET" >"$LOG" 2>&1 </dev/null &
)
wait_for_engine || {
  tail -n 20 "$LOG" >&2
  fail "dockerd was started and does not answer within $READY_SECONDS s." "Its log: $LOG"
}
