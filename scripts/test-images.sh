#!/usr/bin/env bash
# Makes the images that the tests use, from Debian packages on this machine: no container registry is asked.
#
#   windlass-test/busybox:1   sh, sleep, cat, tar, nc, wget and the rest of busybox, statically linked
set -euo pipefail
source "$(dirname "$0")/lib-image.sh"

readonly IMAGE=windlass-test/busybox:1
recipe="$(recipe_digest)"
if ! image_present "$IMAGE" "$recipe"; then
  work="$(mktemp -d)"
  trap 'rm -rf "$work"' EXIT
  unpack_packages "$work/root" busybox-static
  finish_root "$work/root"
  import_root "$work/root" "$IMAGE" "$recipe"
  docker run --rm --network none "$IMAGE" true || fail "the image $IMAGE was made, but does not run."
fi
"$root/scripts/demo-image.sh"
