#!/bin/bash
# A PostgreSQL, two servers and three nodes on one machine, with network namespaces as machines: each has one interface, in
# a bridge, and reaches the others over it alone. 'demo' shows that nothing is lost; the rest is for trying by hand.
# State is in $CLUSTER (default /var/tmp/berth-cluster). Needs root, PostgreSQL and a static busybox.
set -euo pipefail
export PATH=$PATH:/usr/sbin:/sbin
state=${CLUSTER:-/var/tmp/berth-cluster}
berth=${BERTH:-berth}
name=${CLUSTER_NAME:-cl}
net=${CLUSTER_NET:-10.89.7}
tasks=${CLUSTER_TASKS:-60}
machines=(db one two worker-1 worker-2 worker-3)

fail() {
  echo "$1" >&2
  exit 1
}

address() { # machine
  for i in "${!machines[@]}"; do
    if [ "${machines[$i]}" = "$1" ]; then echo "$net.$((10 + i))"; return 0; fi
  done
  fail "There is no machine '$1': ${machines[*]}."
}

await() { # what command...
  local what=$1 end=$((SECONDS + 60))
  shift
  while [ $SECONDS -lt $end ]; do
    if "$@" > /dev/null 2>&1; then return 0; fi
    sleep 0.1
  done
  fail "Still not: $what. The logs are in $state."
}

background() { # machine command...: there, and it outlives this script
  local machine=$1
  shift
  setsid env --default-signal=INT,QUIT nsenter "--net=/run/netns/$name-$machine" "$@" \
    < /dev/null >> "$state/$machine.log" 2>&1 &
  echo $! > "$state/$machine.pid"
}

use() { # server
  BERTH_HOST=http://$(address "$1"):7070
  BERTH_TOKEN=$(cat "$state/one/admin.token")
  export BERTH_HOST BERTH_TOKEN
}

# A server that was killed a moment ago still counts among those that are there.
server() {
  for machine in one two; do
    if curl -sf -m 2 "http://$(address $machine):7070/readyz" > /dev/null; then echo $machine; return 0; fi
  done
  fail "No server answers. The logs are in $state."
}

is_ready() { "$berth" node inspect "$1" | grep '"state": "ready"'; }

as_postgres() { setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; }

postgres=$(find /usr/lib/postgresql -mindepth 2 -maxdepth 2 -name bin 2> /dev/null | sort -V | tail -n 1)

make_database() {
  mkdir -m 700 "$state/db"
  head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n' > "$state/password"
  cp "$state/password" "$state/db/password"
  chown -R postgres "$state/db"
  as_postgres "$postgres/initdb" -D "$state/db/data" -U berth --auth=scram-sha-256 --pwfile="$state/db/password" \
    --data-checksums --no-sync --encoding=UTF8 --locale=C.UTF-8 > "$state/db.log"
  echo "host all berth $net.0/24 scram-sha-256" >> "$state/db/data/pg_hba.conf"
}

start_database() {
  background db setpriv --reuid=postgres --regid=postgres --clear-groups "$postgres/postgres" -D "$state/db/data" \
    -c "listen_addresses=$(address db)" -c unix_socket_directories= -c max_connections=50
  await "PostgreSQL is ready" "$postgres/pg_isready" -q -h "$(address db)" -U berth
}

start_server() {
  background "$1" "$berth" serve --data "$state/$1" --listen "$(address "$1"):7070" --node-name "$1" \
    --node-listen "$(address "$1"):7071" --store "postgres://berth@$(address db)/berth?sslmode=disable" \
    --store-password-file "$state/password"
  await "server $1 is ready" curl -sf "http://$(address "$1"):7070/readyz"
}

start_node() { # machine [flags]
  local machine=$1
  shift
  background "$machine" "$berth" node join "https://$(address one):7071,https://$(address two):7071" \
    --data "$state/$machine" "$@"
}

# One that has ended may stay in the table of processes until somebody asks for its end.
is_alive() { [ -e "/proc/$1/stat" ] && ! grep ') Z ' "/proc/$1/stat" > /dev/null; }

is_running() { [ -e "$state/$1.pid" ] && is_alive "$(cat "$state/$1.pid")"; }

start() { # machine
  ! is_running "$1" || fail "$1 runs already."
  case "$1" in
    db)
      start_database
      for machine in one two; do
        if is_running $machine; then
          await "server $machine stores again" curl -sf -m 2 "http://$(address $machine):7070/readyz"
        fi
      done
      ;;
    one | two) start_server "$1" ;;
    *)
      address "$1" > /dev/null
      start_node "$1"
      use "$(server)"
      await "$1 is ready" is_ready "$1"
      ;;
  esac
}

stop() { # machine signal
  local pid
  address "$1" > /dev/null
  is_running "$1" || return 0
  pid=$(cat "$state/$1.pid")
  kill "-$2" "$pid"
  while is_alive "$pid"; do sleep 0.05; done
}

require_nothing() { [ ! -e "$state" ] || fail "$state is there already: '$0 down' first."; }

up() {
  require_nothing
  [ -n "$postgres" ] || fail "PostgreSQL is missing: apt-get install postgresql"
  umask 077
  # PostgreSQL's user passes through it, and sees nothing.
  mkdir -m 711 "$state"
  ip link add "br$name" type bridge
  ip addr add "$net.1/24" dev "br$name"
  ip link set "br$name" up
  for machine in "${machines[@]}"; do
    ip netns add "$name-$machine"
    ip link add "$name-$machine" type veth peer name eth0 netns "$name-$machine"
    ip link set "$name-$machine" master "br$name" up
    ip -n "$name-$machine" addr add "$(address "$machine")/24" dev eth0
    ip -n "$name-$machine" link set eth0 up
    ip -n "$name-$machine" link set lo up
  done

  make_database
  start_database
  PGPASSWORD=$(cat "$state/password") "$postgres/createdb" -h "$(address db)" -U berth berth
  start_server one
  # The one file that makes a server; all else is in the database.
  mkdir -m 700 "$state/two"
  cp -p "$state/one/secrets.key" "$state/two/"
  start_server two

  use one
  for machine in worker-1 worker-2 worker-3; do
    "$berth" node token create > "$state/token"
    start_node "$machine" --token-file "$state/token" --name "$machine"
    await "$machine is ready" is_ready "$machine"
  done
  rm "$state/token"
  # Work goes to the nodes alone.
  "$berth" node cordon one two > /dev/null
}

down() {
  # What was killed has left its containers; who starts anew cleans up.
  for machine in "${machines[@]}"; do
    if [ -e "$state/$machine.pid" ] && ! is_running "$machine"; then (start "$machine") || true; fi
  done
  for machine in worker-3 worker-2 worker-1 two one; do stop "$machine" TERM; done
  stop db INT
  for machine in "${machines[@]}"; do ip netns del "$name-$machine" 2> /dev/null || true; done
  ip link del "br$name" 2> /dev/null || true
  rm -rf "$state"
}

pack_tools() {
  mkdir -p "$state/tools/bin"
  cp "$(command -v busybox)" "$state/tools/bin/busybox"
  for command in echo sh sleep; do ln -s busybox "$state/tools/bin/$command"; done
  chmod -R go+rX "$state/tools"
  "$berth" image pack -q -e PATH=/bin --cmd sh demo/tools "$state/tools" > /dev/null
}

# In the middle of work is where they are when all came at once.
submit() { # number server
  curl -sS -X POST "http://$(address "$2"):7070/v1/tasks/demo/tools" -H "Authorization: Bearer $BERTH_TOKEN" \
    -H "Berth-Command: sh" -H "Berth-Command: -c" -H "Berth-Command: sleep%205%3B%20echo%20result%20$1" |
    sed -n 's/.*"id":"\([0-9a-z]*\)".*/\1/p'
}

is_begun() { [ "$("$berth" task ls --state running -q | wc -l)" -ge $((tasks / 4)) ]; }

# Tasks come in at both servers; a node and a server are killed and PostgreSQL is restarted while they run.
demo() {
  require_nothing
  trap 'down' EXIT
  echo "PostgreSQL, two servers and three nodes start."
  up
  use one
  pack_tools
  use two
  await "server two has heard of the image" "$berth" image inspect demo/tools
  local ids=() again=0 right=0 i
  for i in $(seq "$tasks"); do
    ids+=("$(submit "$i" "$([ $((i % 2)) = 0 ] && echo one || echo two)")")
  done
  echo "$tasks tasks are accepted, half of them by each server."

  await "tasks run" is_begun
  stop worker-2 KILL
  echo "worker-2 was killed."
  stop one KILL
  echo "Server one was killed."
  stop db QUIT
  echo "PostgreSQL was ended in the middle of what it did."
  start db
  echo "PostgreSQL is back."

  for i in $(seq "$tasks"); do
    local id=${ids[$((i - 1))]}
    "$berth" task wait "$id" > /dev/null
    if [ "$("$berth" task result "$id")" = "result $i" ]; then right=$((right + 1)); fi
    if ! "$berth" task get -o json "$id" | grep '"attempts": 1,' > /dev/null; then again=$((again + 1)); fi
  done
  echo "$right of $tasks tasks have their result, one each; $again were begun anew."
  start one
  start worker-2
  "$berth" node ls
  [ "$right" = "$tasks" ]
}

case "${1:-}" in
  up) up ;;
  down) down ;;
  demo) demo ;;
  env) use "${2:-one}"; echo "export BERTH_HOST=$BERTH_HOST BERTH_TOKEN=$BERTH_TOKEN" ;;
  kill) stop "$2" "$([ "$2" = db ] && echo QUIT || echo KILL)" ;;
  start) start "$2" ;;
  cut) ip link set "$name-$2" down ;;
  mend) ip link set "$name-$2" up ;;
  *) echo "usage: $0 demo | up | down | env [SERVER] | kill|start|cut|mend MACHINE" >&2; exit 64 ;;
esac
