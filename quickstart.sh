#!/usr/bin/env bash
# From nothing to a thumbnail: installs what is missing, builds Berth, starts a server, makes a layered image of real
# software, pushes it and sends a photograph through it.
#   ./quickstart.sh [--port PORT] [--data FOLDER] [--stop] [PHOTO]
# On a terminal the server goes on until Ctrl-C; with --stop, or without a terminal, it is stopped at the end. What was
# made stays in out/ and makes the next run quick.
set -euo pipefail
cd "$(dirname "$0")"

port=
data=$PWD/out/quickstart
stop=
photo=
while [ $# -gt 0 ]; do
  case $1 in
    --port) port=${2:?--port needs a number}; shift ;;
    --data) data=$(realpath -m "${2:?--data needs a folder}"); shift ;;
    --stop) stop=yes ;;
    -h | --help) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 0 ;;
    -*) echo "quickstart.sh: there is no option '$1'; see ./quickstart.sh --help" >&2; exit 64 ;;
    *) photo=$(realpath "$1") ;;
  esac
  shift
done
[ -t 0 ] && [ -t 1 ] || stop=yes

LOG=$PWD/out/quickstart.log
. eng/steps.sh
started=$SECONDS
server=
own=

# Whatever ends the script ends the server first, and waits until it has removed its sandboxes.
clean_up() {
  trap '' INT TERM
  if [ -n "$own" ] && kill -TERM "$server" 2>/dev/null; then
    wait "$server" 2>/dev/null || true
  fi
  [ -z "$own" ] || rm -f "$data.address"
  rm -rf --one-file-system "${scratch:-}"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if [ "$(id -u)" -ne 0 ]; then
  say "quickstart.sh has to make containers: run it as root, for instance with sudo."
  exit 77
fi

fetch_photo() (
  # A photograph under CC BY 4.0 from a Debian package, taken out of it without installing it.
  local package=lomiri-wallpapers-16.04
  cd "$scratch"
  apt-get -o APT::Sandbox::User=root download "$package" ||
    { apt-get update -q && apt-get -o APT::Sandbox::User=root download "$package"; }
  dpkg-deb -x "$package"_*.deb .
  cp usr/share/backgrounds/picosdeeuropa_by_Aitzol_Berasategi.jpg "$1.new"
  mv "$1.new" "$1"
)

free_port() {
  local candidate
  for candidate in $(seq 7070 7099); do
    if ! (exec 3<>"/dev/tcp/127.0.0.1/$candidate") 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  say "No port from 7070 to 7099 is free: name one with --port."
  return 1
}

answers() { curl -fs -o "$scratch/answer" "$1" 2>/dev/null; }

start_server() {
  mkdir -p "$data"
  # A session of its own, so that Ctrl-C reaches this script alone, which then stops the server in order.
  setsid out/berth serve --data "$data" --listen "127.0.0.1:$port" >>"$data.server.log" 2>&1 </dev/null &
  server=$!
  own=yes
  for _ in $(seq 150); do
    if answers "$address/readyz"; then
      echo "$address" >"$data.address"
      return
    fi
    if ! kill -0 "$server" 2>/dev/null; then break; fi
    sleep 0.1
  done
  say "The server did not start. The end of $data.server.log:"
  tail -n 20 "$data.server.log" | sed 's/^/    /' >&2
  return 1
}

make_image() {
  out/berth image pack demo/thumbnail:latest out/sample/system out/sample/tool samples/thumbnail/app \
    --entrypoint /usr/local/bin/thumbnail --user 65534:65534 --keep-owners --label recipe="$recipe"
}

say "Berth quickstart (what goes on in detail: $LOG)"
scratch=$(mktemp -d)
step "Installing what is missing from Debian" eng/prerequisites.sh build run sample
step "Building Berth" ./build.sh --if-changed
if [ -z "$photo" ]; then
  photo=$PWD/out/photo.jpg
  [ -s "$photo" ] || step "Fetching a photograph" fetch_photo "$photo"
fi
step "Making the layers: a minimal Debian, libvips, a script" samples/thumbnail/layers.sh out/sample

address=$(cat "$data.address" 2>/dev/null || true)
if [ -n "$address" ] && answers "$address/healthz"; then
  say "  Using the server that runs at $address"
else
  port=${port:-$(free_port)}
  address=http://127.0.0.1:$port
  start_server
  say "  Server at $address, data in $data"
fi
export BERTH_HOST=$address BERTH_TOKEN
BERTH_TOKEN=$(cat "$data/admin.token")

recipe=$(cat out/sample/recipe samples/thumbnail/app/usr/local/bin/thumbnail | sha256sum | cut -c1-16)
if out/berth image inspect demo/thumbnail:latest 2>/dev/null | grep -q "recipe=$recipe"; then
  say "  The image demo/thumbnail is in the registry already"
else
  step "Packing the image and pushing it to the registry" make_image
fi

thumbnail=$PWD/out/thumbnail.jpg
call() {
  curl -sS --fail-with-body --data-binary "@$photo" -H "Authorization: Bearer $BERTH_TOKEN" -D "$scratch/headers" \
    -o "$thumbnail" "$address/v1/call/demo/thumbnail?width=400" || { cat "$thumbnail" >&2; return 1; }
}
value() { sed -n "s/^$1: *\([^ ]*\)\r$/\1/Ip" "$scratch/headers" | tail -n 1; }
# The first call may find nothing prepared; the second finds a sandbox that was prepared ahead.
call
first=$(value Berth-Duration-Ms)
sleep 1
call

run=$(value Berth-Run-Id)
memory=$(value Berth-Memory-Bytes)
cat <<END

  Photograph   $photo ($(($(stat -L -c %s "$photo") / 1024)) KiB)
  Thumbnail    $thumbnail ($(($(stat -c %s "$thumbnail") / 1024)) KiB)
  Took         $(value Berth-Duration-Ms) ms in a fresh container (the first call, $first ms)
  CPU time     $(value Berth-Cpu-Ms) ms
  Memory       $((${memory:-0} / 1024 / 1024)) MiB at most
  Run          $run

  All of it took $((SECONDS - started)) s.

To try next${stop:+ (start the server again with: out/berth serve --data $data --listen ${address#http://})}:

  export BERTH_HOST=$address BERTH_TOKEN=\$(cat $data/admin.token) PATH=$PWD/out:\$PATH
  berth run demo/thumbnail 100 < $photo > small.jpg       # the same from the command line
  berth why $run                      # what happened in that call
  id=\$(berth task submit demo/thumbnail 800 < $photo)     # later instead of now
  berth task wait \$id && berth task result \$id > big.jpg
  berth image inspect demo/thumbnail                      # three layers
  berth run --entrypoint /bin/sh demo/thumbnail -c 'id; cat /etc/os-release'
END

if [ -z "$stop" ] && [ -n "$own" ]; then
  say ""
  say "The server goes on. Ctrl-C stops it and leaves nothing running."
  wait "$server"
fi
