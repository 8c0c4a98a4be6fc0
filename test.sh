#!/usr/bin/env bash
# Installs what the tests need, builds everything and runs every test. The last line is the sum: "N passed, N failed".
#   ./test.sh [runner options]     for instance: ./test.sh -class '*ImageReferenceTests'
# With CI=true a skipped test counts as a failure: there, nothing may be missing.
set -uo pipefail
cd "$(dirname "$0")"
LOG=out/test.log
. eng/steps.sh

export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1
passed=0
failed=0

finish() {
  echo
  echo "$passed passed, $failed failed"
  [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
  exit
}

# Something other than a test went wrong: it counts as one failure, so that the last line never looks green.
give_up() {
  failed=$((failed + 1))
  finish
}

step "Installing what build, server and tests need" eng/prerequisites.sh build run test || give_up
step "Building everything" dotnet build Berth.slnx -c Release --nologo -v quiet || give_up
./build.sh >/dev/null || give_up
export BERTH_EXECUTABLE=$PWD/out/berth

# A test that takes so many seconds is named while it still runs; a suite that hangs ends, as one failure.
options=(-noColor -noLogo -longRunning 120)
suite_limit=35m
if [ "${CI:-}" = true ]; then options+=(-failSkips); fi

# "   Berth.Tests  Total: 28, Errors: 0, Failed: 0, Skipped: 0, Not Run: 0, Time: 0.424s"
figure() {
  local number
  number=$(sed -n "s/.*[ ,]$1: \([0-9]*\).*/\1/p" <<<"$summary")
  echo "${number:-0}"
}

# Runs a suite, $1 its output's name, the rest the runner's options; sets summary and status.
suite() {
  local output=out/$1.output
  shift
  # Where this script runs in the background it ignores Ctrl-C, and so would every server that the tests interrupt.
  timeout --foreground --kill-after=30 "$suite_limit" env --default-signal=INT,QUIT \
    dotnet "tests/$name/bin/Release/net10.0/$name.dll" "${options[@]}" "$@" </dev/null > >(exec tee "$output") 2>&1
  status=$?
  # Not through a pipe that a program left behind could hold open.
  for _ in {1..20}; do
    if grep -qE '^ *[A-Za-z.]+ +Total: [0-9]+' "$output"; then break; fi
    sleep 0.1
  done
  summary=$(grep -E '^ *[A-Za-z.]+ +Total: [0-9]+' "$output" | tail -n 1)
}

# Few tests that failed among thousands run once more, alone: one that passes then hung upon the moment. It is counted
# as passed and named at the end, to be mended. The tests of promises have no second try: there, once is the finding.
again() {
  local failures method
  failures=$(sed -n 's/^ *\(Berth[A-Za-z0-9_.]*\).* \[FAIL\]$/\1/p' "out/$name.output" | sort -u)
  if [ "$bad" -eq 0 ] || [ "$bad" -gt 3 ] || [ -z "$failures" ] || grep -q '\.Faults\.' <<<"$failures"; then return; fi
  for method in $failures; do
    echo
    echo "Once more: $method"
    suite "$name.again" -method "$method"
    if [ "$status" -ne 0 ] || [ "$(figure Total)" -eq 0 ]; then return; fi
  done
  moments+=" $failures"
  passed=$((passed + bad))
  bad=0
}

moments=
for project in tests/*/*.csproj; do
  name=$(basename "$project" .csproj)
  grep -q '<IsTestProject>true' "$project" || continue
  echo
  echo "$name"
  suite "$name" "$@"
  if [ -z "$summary" ]; then
    if [ "$status" -eq 124 ] || [ "$status" -eq 137 ]; then
      echo "$name was ended: it took longer than $suite_limit"
    else
      echo "$name ended without a summary, exit code $status"
    fi
    failed=$((failed + 1))
    continue
  fi
  bad=$(($(figure Failed) + $(figure Errors)))
  passed=$((passed + $(figure Total) - $(figure Failed) - $(figure Skipped) - $(figure 'Not Run')))
  if [ "$bad" -eq 0 ] && [ "$status" -ne 0 ]; then
    bad=1
  elif [ "$(figure Errors)" -eq 0 ]; then
    again
  fi
  failed=$((failed + bad))
done
for method in $moments; do
  echo "Passed only when it ran once more: $method"
done
# Behind thousands of lines of the suites: what failed, each with its first lines.
for output in out/Berth.*Tests.output; do
  if [ "$failed" -gt 0 ]; then grep -A 12 ' \[FAIL\]$' "$output"; fi
done
finish
