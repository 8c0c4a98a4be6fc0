#!/bin/bash
# A server and three nodes on one machine, with network namespaces as machines: each node has an interface of its own in a
# bridge and reaches the server by TLS alone. 'up' starts it, 'kill N' and 'cut N' make faults, 'down' leaves nothing.
# State is in $CLUSTER (default /var/tmp/berth-cluster). Needs root.
set -euo pipefail
export PATH=$PATH:/usr/sbin:/sbin
state=${CLUSTER:-/var/tmp/berth-cluster}
berth=${BERTH:-berth}
nodes=3
bridge=brcluster
net=${CLUSTER_NET:-10.89.7}
listen=${CLUSTER_LISTEN:-127.0.0.1:7170}

background() { # file command...
  local file=$1
  shift
  setsid env --default-signal=INT,QUIT "$@" > "$state/$file.log" 2>&1 &
  echo $! > "$state/$file.pid"
}

await() { # what command...
  local what=$1
  shift
  for _ in $(seq 600); do
    if "$@" > /dev/null 2>&1; then return; fi
    sleep 0.1
  done
  echo "Still not: $what. The logs are in $state." >&2
  exit 1
}

use() {
  export BERTH_HOST=http://$listen
  BERTH_TOKEN=$(cat "$state/server/admin.token")
  export BERTH_TOKEN
}

is_ready() { "$berth" node inspect "$1" | grep -q '"state": "ready"'; }

join() { # number [flags]
  local number=$1
  shift
  background "worker-$number" nsenter "--net=/run/netns/cluster-$number" "$berth" node join "https://$net.1:7171" \
    --data "$state/worker-$number" "$@"
}

up() {
  [ ! -e "$state" ] || { echo "$state is there already: '$0 down' first." >&2; exit 1; }
  mkdir -m 700 "$state"
  ip link add $bridge type bridge
  ip addr add "$net.1/24" dev $bridge
  ip link set $bridge up
  background server "$berth" serve --data "$state/server" --listen "$listen" --node-listen "$net.1:7171" --node-name control
  await "the server is ready" curl -sf "http://$listen/readyz"
  use
  for i in $(seq $nodes); do
    ip netns add "cluster-$i"
    ip link add "cluster-$i" type veth peer name eth0 netns "cluster-$i"
    ip link set "cluster-$i" master $bridge up
    ip -n "cluster-$i" addr add "$net.1$i/24" dev eth0
    ip -n "cluster-$i" link set eth0 up
    "$berth" node token create > "$state/token"
    join "$i" --token-file "$state/token" --name "worker-$i"
    await "worker-$i is ready" is_ready "worker-$i"
  done
  rm "$state/token"
  "$berth" node cordon control > /dev/null
}

down() {
  for file in "$state"/worker-*.pid "$state"/server.pid; do
    [ -e "$file" ] || continue
    pid=$(cat "$file")
    kill -TERM "$pid" 2> /dev/null || continue
    while kill -0 "$pid" 2> /dev/null; do sleep 0.05; done
  done
  for i in $(seq $nodes); do ip netns del "cluster-$i" 2> /dev/null || true; done
  ip link del $bridge 2> /dev/null || true
  rm -rf "$state"
}

case "${1:-}" in
  up) up ;;
  down) down ;;
  env) use; echo "export BERTH_HOST=$BERTH_HOST BERTH_TOKEN=$BERTH_TOKEN" ;;
  kill) kill -KILL "$(cat "$state/worker-$2.pid")" ;;
  cut) ip link set "cluster-$2" down ;;
  mend) ip link set "cluster-$2" up ;;
  start) use; join "$2"; await "worker-$2 is ready" is_ready "worker-$2" ;;
  *) echo "usage: $0 up|down|env|kill N|start N|cut N|mend N" >&2; exit 64 ;;
esac
