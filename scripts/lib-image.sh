# shellcheck shell=bash
# Container images out of Debian packages, without asking any container registry; sourced by the scripts that make images.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# image_present IMAGE REVISION: whether the image exists and was made from this recipe.
image_present() {
  [ "$(docker image inspect --format '{{ index .Config.Labels "windlass.recipe" }}' "$1" 2>/dev/null)" = "$2" ]
}

# A digest of the recipe: this file and the calling script. Another recipe is another image.
recipe_digest() { cat "$root/scripts/lib-image.sh" "$0" | sha256sum | cut -c1-16; }

# unpack_packages ROOT PACKAGE...: downloads packages with apt (signatures are checked) and unpacks them; installs nothing.
unpack_packages() {
  local into="$1" directory
  shift
  { have apt-get && have dpkg-deb; } || fail "this image is made of Debian packages, and this machine has no apt and dpkg." \
    "Any image with the same programs will do: docker tag IMAGE NAME, with the name that this script gives."
  local debs
  debs="$(mktemp -d "$into.debs.XXXXXX")"
  if apt_lists_missing; then apt_update; fi
  # As root, apt would download as a user who cannot write here, and warn about it.
  local download=(apt-get -qq -o APT::Sandbox::User=root download "$@")
  (cd "$debs" && { "${download[@]}" 2>/dev/null || { apt_update && "${download[@]}"; }; }) ||
    fail "apt could not download: $*" "See the lines above; the machine must reach its Debian mirror for this once."
  # The merged /usr of today's Debian, whichever release the packages are from.
  for directory in bin sbin lib lib64; do
    mkdir -p "$into/usr/$directory"
    ln -sfn "usr/$directory" "$into/$directory"
  done
  local deb
  for deb in "$debs"/*.deb; do
    dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$into" --keep-directory-symlink --no-same-owner
  done
  rm -rf "$debs"
}

# finish_root ROOT: links busybox's applets where nothing else has the name, and adds what every program expects.
finish_root() {
  local into="$1" applet
  while read -r applet; do
    [ -e "$into/usr/bin/$applet" ] || [ -L "$into/usr/bin/$applet" ] || ln -s busybox "$into/usr/bin/$applet"
  done < <("$into/usr/bin/busybox" --list | grep -vx busybox)
  rm -rf "$into"/usr/share/{doc,man,info,locale,lintian,bug}
  mkdir -p "$into"/{etc,root,proc,sys,dev,tmp,workspace}
  chmod 1777 "$into/tmp"
  printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n' >"$into/etc/passwd"
  printf 'root:x:0:\nnogroup:x:65534:\n' >"$into/etc/group"
}

# import_root ROOT IMAGE REVISION
import_root() {
  tar -c -C "$1" --owner=0 --group=0 --numeric-owner --sort=name . |
    docker import --change "LABEL windlass.recipe=$3" --change 'ENV PATH=/usr/sbin:/usr/bin:/sbin:/bin' \
      --change 'CMD ["sh"]' - "$2" >/dev/null
}
