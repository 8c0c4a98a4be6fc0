#!/usr/bin/env bash
# Installs the Debian packages that one part of the work needs, and only those that are missing.
#   eng/prerequisites.sh build | run | test | bench | sample ...
# As another user than root, or without apt-get, it says what is missing and fails.
set -euo pipefail

packages() {
  case $1 in
    # zlib and libc's static library are linked into berth-init; any C compiler will do as its linker.
    build)
      command -v clang >/dev/null || command -v gcc >/dev/null || echo gcc
      echo libc6-dev zlib1g-dev
      ;;
    run) echo runc libsqlite3-0 libseccomp2 libzstd1 iproute2 e2fsprogs ;;
    # A kernel that runs as a process, for machines of another kind than this one; there is none but for amd64.
    test)
      if [ "$(uname -m)" = x86_64 ]; then echo user-mode-linux; fi
      echo gcc wireguard-go skopeo buildah umoci podman docker.io docker-registry busybox-static zstd curl jq python3 attr mount \
        util-linux xfsprogs faketime runsc nbdkit libnbd-bin fuse3 fiu-utils graphicsmagick lighttpd fonts-dejavu-core \
        tesseract-ocr postgresql systemd nftables haproxy
      ;;
    # What Berth is measured beside: the Docker engine and registry, a proxy, queues of tasks; an HTTP load generator.
    bench)
      echo docker.io docker-registry wrk openssl nginx-light postgresql celery redis-server python3-redis \
        python3-distributed gearman-job-server libgearman-dev
      ;;
    sample) echo mmdebstrap curl util-linux ;;
    *)
      echo "eng/prerequisites.sh: there is no group '$1': use build, run, test, bench or sample" >&2
      exit 64
      ;;
  esac
}

is_installed() {
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  echo "This is not Debian or Ubuntu; nothing was checked. Berth needs, by Debian's names:" >&2
  for group in "$@"; do packages "$group" >&2; done
  exit 0
fi

missing=()
for group in "$@"; do
  for package in $(packages "$group"); do
    is_installed "$package" || missing+=("$package")
  done
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
  echo "Missing: ${missing[*]}. As root: apt-get install ${missing[*]}" >&2
  exit 69
fi

export DEBIAN_FRONTEND=noninteractive
install() { apt-get install -y -q --no-install-recommends -o DPkg::Lock::Timeout=300 "${missing[@]}"; }
# Package lists may be absent or too old to name files that still exist; refresh them only then.
install || { apt-get update -q && install; }
