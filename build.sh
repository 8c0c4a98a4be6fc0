#!/usr/bin/env bash
# Builds the one executable: out/berth. Installs what the build needs when it runs as root.
#   ./build.sh [--if-changed]
set -euo pipefail
cd "$(dirname "$0")"
LOG=out/build.log
. eng/steps.sh

if ! command -v dotnet >/dev/null; then
  say "The .NET 10 SDK is missing: see https://dotnet.microsoft.com/download"
  exit 69
fi

changed() {
  [ ! -x out/berth ] || [ -n "$(find src eng Directory.*.props global.json -newer out/berth \
    -not -path '*/bin/*' -not -path '*/obj/*' -type f -print -quit)" ]
}

publish() {
  # A step's commands go on after one that fails, and there may be an executable of an earlier build.
  dotnet publish src/Berth.Cli/Berth.Cli.csproj -c Release -o out/publish --nologo -v quiet || return
  # Renamed into place: a running server keeps the file it was started from.
  cp out/publish/berth out/berth.new
  mv -f out/berth.new out/berth
}

if [ "${1:-}" != --if-changed ] || changed; then
  step "Installing what the build needs" eng/prerequisites.sh build
  step "Building out/berth" publish
fi
echo "$PWD/out/berth"
