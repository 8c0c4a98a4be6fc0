#!/bin/bash
# Process 1 of a machine whose control groups are all of version 2: runs a server on it and says what came of it, in
# lines that begin with @@.
exec 2>&1
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/run TMPDIR=/run NO_COLOR=1
mount -t proc proc /proc
mount -t sysfs sys /sys
modules=/usr/lib/uml/modules/$(uname -r)/kernel
busybox insmod "$modules/fs/overlayfs/overlay.ko"
busybox insmod "$modules/drivers/block/loop.ko"
hostname unified
ip link set lo up
mount -t tmpfs none /run
mkdir -p /dev/pts
mount -t devpts none /dev/pts
mount -t cgroup2 none /sys/fs/cgroup
mount /dev/ubda /mnt
say() { echo "@@ $1: $(echo "$2" | tr '\n' ' ')"; }
berth=$(sed -n 's/.*berth=\([^ ]*\).*/\1/p' /proc/cmdline)

serve() {
  "$berth" serve --data /mnt/data --pool-memory 0 >>/run/log 2>&1 &
  server=$!
  until curl -fs http://127.0.0.1:7070/readyz >/run/ready || ! kill -0 $server; do sleep 0.05; done
}

serve
export BERTH_HOST=http://127.0.0.1:7070 BERTH_TOKEN=$(cat /mnt/data/admin.token)
mkdir -p /run/root/bin
cp /bin/busybox /run/root/bin
for command in cat dd sh; do ln -s busybox /run/root/bin/$command; done
"$berth" image pack -q --cmd cat -e PATH=/bin demo/busybox /run/root >/run/pushed
say answer "$(echo hello | "$berth" run demo/busybox)"
"$berth" run --memory 32Mi demo/busybox dd if=/dev/zero of=/dev/null bs=200M count=1 2>/run/why
say memory "$? $(cat /run/why)"
"$berth" run -d --name web --memory 64Mi --cpus 0.5 --pids-limit 40 demo/busybox sh -c 'while :; do :; done' >/run/id
group=$(ls -d /sys/fs/cgroup/berth-*/0*)
say limits "$(cd "$group" && cat memory.max cpu.max pids.max memory.swap.max)"
"$berth" pause web
for try in $(seq 500); do grep -q 'frozen 1' "$group/cgroup.events" && break; sleep 0.01; done
say paused "$(grep frozen "$group/cgroup.events")"
"$berth" unpause web
say unpaused "$(grep frozen "$group/cgroup.events")"
kill -9 $server
wait $server
say left "$(ls -d "$group")"
serve
say swept "$(ls -d "$group" 2>&1)"
kill $server
wait $server
say ended $?
say gone "$(ls -d /sys/fs/cgroup/berth-* 2>&1)"
tail -n 3 /run/log
umount /mnt
echo o >/proc/sysrq-trigger
sleep 60
