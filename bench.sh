#!/usr/bin/env bash
# Measures Berth beside real alternatives and prints a ratio a goal. Usage: ./bench.sh all, or names of cases.
set -euo pipefail
cd "$(dirname "$0")"
eng/prerequisites.sh build run test bench
./build.sh --if-changed >/dev/null
dotnet build tests/Berth.Benchmarks -c Release -v quiet --nologo
exec dotnet tests/Berth.Benchmarks/bin/Release/net10.0/Berth.Benchmarks.dll "$@"
