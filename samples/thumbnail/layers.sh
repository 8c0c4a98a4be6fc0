#!/usr/bin/env bash
# Makes the folders that become the layers of demo/thumbnail, with Debian's own packages:
#   OUT/system   a minimal Debian
#   OUT/tool     what installing libvips-tools with all it depends on adds to that
# The application layer is the folder app/ beside this script. Needs root and mmdebstrap; uses this machine's own
# package sources. Does nothing when OUT is there already from the same recipe.
#   samples/thumbnail/layers.sh OUT
set -euo pipefail
recipe=$(cd "$(dirname "$0")" && pwd)/$(basename "$0")
out=$(realpath -m "$1")

suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
stamp="$suite $(sha256sum <"$recipe")"
if [ "$(cat "$out/recipe" 2>/dev/null)" = "$stamp" ]; then exit 0; fi

# /proc, /sys and /dev are mounted in the folder while Debian is installed there: before it goes, so must they.
remove() {
  local place
  for place in $(awk -v folder="$1/" 'index($5, folder) == 1 { print $5 }' /proc/self/mountinfo | sort -r); do
    umount "$place" || umount -l "$place"
  done
  rm -rf --one-file-system "$1"
}

mkdir -p "$(dirname "$out")"
# One at a time. Who works for this script has the lock too: as long as it is held, the folder is in use.
exec 9>"$out.lock"
flock -n 9 || { echo "Waiting until another one of this script is done with $out"; flock 9; }
if [ "$(cat "$out/recipe" 2>/dev/null)" = "$stamp" ]; then exit 0; fi
# What was killed in the middle left its folder.
for work in "$out".??????; do
  if [ -d "$work" ]; then remove "$work"; fi
done
work=$(mktemp -d "$out.XXXXXX")
trap 'remove "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

sources=()
for file in /etc/apt/sources.list /etc/apt/sources.list.d/{debian,ubuntu}.sources; do
  if [ -s "$file" ]; then sources+=("$file"); fi
done

# One installation in two steps: what there is when Debian's essential packages are installed is the system, what
# changes after that is the tool. The copy is made between the two; -x keeps it out of /proc and /sys, which are mounted
# there at that moment.
export WORK=$work
mmdebstrap --mode=root --variant=essential --include=libvips-tools \
  --aptopt='APT::Install-Recommends "false"' \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
  --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
  --dpkgopt='path-exclude=/usr/share/info/*' \
  --essential-hook='cp -ax "$1" "$WORK/system" && touch "$WORK/between"' \
  "$suite" "$work/all" "${sources[@]}"

mkdir "$work/tool"
cd "$work/all"
find . -xdev -mindepth 1 -cnewer "$work/between" -print0 | tar --null --no-recursion -T - -cf - | tar -xf - -C "$work/tool"
# Folders that only lead to something changed take their owner and mode from the original.
(cd "$work/tool" && find . -type d -print0) | while IFS= read -r -d '' folder; do
  chown --reference="$folder" "$work/tool/$folder"
  chmod --reference="$folder" "$work/tool/$folder"
done

for layer in "$work/system" "$work/tool"; do
  for folder in dev proc sys run tmp var/cache/apt var/lib/apt/lists var/log; do
    if [ -d "$layer/$folder" ]; then find "$layer/$folder" -xdev -mindepth 1 -delete; fi
  done
done
remove "$work/all"
rm "$work/between"
echo "$stamp" >"$work/recipe"
chmod 755 "$work"
rm -rf --one-file-system "$out"
mv "$work" "$out"
