#!/usr/bin/env bash
# Makes the image that the quick start builds its C program in: busybox's shell, make, the TinyCC compiler and the C library's headers.
# It is put together from Debian packages on this machine, so the demo needs no container registry. Done once; then it only looks.
set -euo pipefail
source "$(dirname "$0")/lib-image.sh"

readonly IMAGE=windlass/demo-cc:1
recipe="$(recipe_digest)"
image_present "$IMAGE" "$recipe" && exit 0

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
unpack_packages "$work/root" busybox-static make tcc libc6 libc6-dev linux-libc-dev
ln -s tcc "$work/root/usr/bin/cc"
finish_root "$work/root"
import_root "$work/root" "$IMAGE" "$recipe"

# A compiler that cannot compile would be found only much later, in a run.
echo 'int main(void) { return 0; }' | docker run --rm -i --network none "$IMAGE" \
  sh -ec 'cd /tmp && cat > t.c && cc -o t t.c && ./t && make --version > /dev/null' ||
  fail "the image $IMAGE was made, but its compiler does not work." "Remove it (docker rmi $IMAGE) and run this again."
