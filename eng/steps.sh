# Sourced by the scripts of the root: shows long work as one line per step, keeps its output in a log, and prints the
# end of that log when a step fails. Needs LOG, the path of the log file.

mkdir -p "$(dirname "$LOG")"
: >"$LOG"

say() { printf '%s\n' "$*" >&2; }

# step TEXT COMMAND...: runs COMMAND with its output in the log; on a terminal counts the seconds beside TEXT.
step() {
  local text=$1 started=$SECONDS status=0 clock=
  shift
  if [ -t 2 ]; then
    (
      trap 'exit 0' TERM
      while :; do
        printf '\r  %-58s %4d s' "$text" $((SECONDS - started)) >&2
        sleep 1 &
        wait $!
      done
    ) &
    clock=$!
  fi
  printf '\n== %s\n' "$text" >>"$LOG"
  "$@" >>"$LOG" 2>&1 </dev/null || status=$?
  if [ -n "$clock" ]; then
    kill "$clock" 2>/dev/null || true
    wait "$clock" 2>/dev/null || true
    printf '\r\033[K' >&2
  fi
  if [ "$status" -ne 0 ]; then
    say "  $text: failed (exit code $status). The end of $LOG:"
    tail -n 25 "$LOG" | sed 's/^/    /' >&2
    return "$status"
  fi
  printf '  %-58s %4d s\n' "$text" $((SECONDS - started)) >&2
}
