#!/usr/bin/env bash
# Takes mmdebstrap's place for tests: a folder with the essential packages and those of --include, with all they depend
# on, as this machine has them installed. Needs no mirror and some seconds.
#   installed-debian.sh --variant=essential --include=PACKAGE,PACKAGE SUITE FOLDER
set -euo pipefail
wanted=()
for word; do
  case $word in
    --variant=essential) ;;
    --include=*) IFS=, read -ra wanted <<<"${word#*=}" ;;
    --*) echo "no option of this stand-in: $word" >&2; exit 64 ;;
    *) folder=$word ;;
  esac
done

# Of alternatives, every one that is installed; of a virtual package, whoever provides it.
packages=$(dpkg-query -W -f '${db:Status-Status}\t${Package}\t${Essential}\t${Pre-Depends}, ${Depends}\t${Provides}\n' |
  awk -F '\t' -v wanted="${wanted[*]}" '
    function names(list, into, count, i) {
      gsub(/\([^)]*\)|:any|:[a-z0-9]+| /, "", list)
      count = split(list, into, /[,|]/)
      return count
    }
    function take(name, count, i, more) {
      if (name in taken) return
      taken[name] = 1
      if (name in needs) print name
      count = names(needs[name], more)
      for (i = 1; i <= count; i++) if (more[i] != "") take(more[i])
      count = names(provided[name], more)
      for (i = 1; i <= count; i++) if (more[i] != "") take(more[i])
    }
    $1 == "installed" {
      needs[$2] = $4
      if ($3 == "yes") first[$2] = 1
      count = names($5, virtual)
      for (i = 1; i <= count; i++) provided[virtual[i]] = provided[virtual[i]] "," $2
    }
    END {
      count = split(wanted, named, " ")
      for (i = 1; i <= count; i++) {
        if (!(named[i] in needs)) { print "not installed here: " named[i] > "/dev/stderr"; exit 1 }
        first[named[i]] = 1
      }
      for (name in first) take(name)
    }')

mkdir -p "$folder"
for name in bin lib lib64 sbin; do
  mkdir -p "$folder/usr/$name"
  ln -s "usr/$name" "$folder/$name"
done
mkdir -p "$folder"/{dev,proc,sys,run,var/lib/apt/lists}
mkdir -m 1777 "$folder/tmp"
echo packages >"$folder/var/lib/apt/lists/mirror"
# shellcheck disable=SC2086
dpkg -L $packages | grep -E '^/' | grep -vE '^/usr/share/(doc|man|locale|info|lintian|bug)/' | sort -u |
  while IFS= read -r path; do
    if [ -L "$path" ] || [ ! -d "$path" ]; then if [ -e "$path" ] || [ -L "$path" ]; then echo "${path#/}"; fi; fi
  done |
  tar -C / --no-recursion -cf - -T - | tar -C "$folder" --keep-directory-symlink -xf -
