#!/bin/bash
# Shows hull at work on a real root file system: Debian's, made by debootstrap once and kept in
# target/demo, or a busybox one where debootstrap cannot reach a mirror.
#
#     runtime/demo/demo.sh target/hull
set -euo pipefail

hull=$(realpath "${1:-target/hull}")
cache=$(realpath -m "$(dirname "$0")/../../target/demo")
work=$(mktemp -d /tmp/hull-demo.XXXXXX)
id=hull-demo-$$

if [ "$(id -u)" -ne 0 ]; then
    echo "the demo needs root" >&2
    exit 1
fi

cleanup() {
    "$hull" --root "$work/state" delete --force "$id" || true
    rm -rf "$work"
}
trap cleanup EXIT

# Bold and dim, on a terminal (https://no-color.org).
bold="" dim="" plain=""
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
    bold=$'\033[1m' dim=$'\033[2m' plain=$'\033[0m'
fi

say() {
    printf '\n%s%s%s\n' "$bold" "$*" "$plain"
}

# Prints a command of hull, then runs it.
show() {
    local word line="\$ hull"
    for word in "$@"; do
        [[ $word =~ ^[A-Za-z0-9_./:=-]+$ ]] || word="'$word'"
        line+=" $word"
    done
    printf '%s%s%s\n' "$dim" "$line" "$plain"
    "$hull" --root "$work/state" "$@"
}

make_rootfs() {
    [ -x "$cache/rootfs/bin/sh" ] && return
    rm -rf "$cache"
    mkdir -p "$cache/partial"
    say "Making a Debian root file system (once; about a minute)"
    if command -v debootstrap >/dev/null &&
        (cd "$cache/partial" && timeout 240 debootstrap --variant=minbase stable rootfs) \
            >"$cache/log" 2>&1; then
        mv "$cache/partial/rootfs" "$cache/rootfs"
        rmdir "$cache/partial"
        return
    fi
    echo "debootstrap did not work ($cache/log): busybox it is"
    rm -rf "$cache/partial"
    mkdir -p "$cache"/rootfs/{bin,dev,etc,proc,root,sys,tmp}
    cp /bin/busybox "$cache/rootfs/bin/"
    "$cache/rootfs/bin/busybox" --list | grep -vx busybox | while read -r applet; do
        ln -sf busybox "$cache/rootfs/bin/$applet"
    done
    echo 'root:x:0:0:root:/root:/bin/sh' >"$cache/rootfs/etc/passwd"
    echo 'PRETTY_NAME="busybox"' >"$cache/rootfs/etc/os-release"
}

# Writes config.json: terminal or not, and the program with its arguments as JSON.
configure() {
    cat >"$work/config.json" <<EOF
{
  "ociVersion": "1.2.0",
  "process": {
    "terminal": $1,
    "user": {"uid": 0, "gid": 0},
    "args": $2,
    "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
    "cwd": "/root",
    "capabilities": {
      "bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE"],
      "effective": ["CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE"],
      "permitted": ["CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
    },
    "noNewPrivileges": true
  },
  "root": {"path": "$cache/rootfs", "readonly": true},
  "hostname": "hull",
  "mounts": [
    {"destination": "/proc", "type": "proc", "source": "proc"},
    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
     "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
    {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
     "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
    {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev"]},
    {"destination": "/sys", "type": "sysfs", "source": "sysfs",
     "options": ["nosuid", "noexec", "nodev", "ro"]}
  ],
  "linux": {
    "cgroupsPath": "/$id",
    "resources": {
      "devices": [{"allow": false, "access": "rwm"}],
      "memory": {"limit": 134217728},
      "pids": {"limit": 64}
    },
    "namespaces": [
      {"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}
    ],
    "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"],
    "readonlyPaths": ["/proc/sys", "/proc/sysrq-trigger"]
  }
}
EOF
}

make_rootfs
cd "$work"

say "A container, step by step"
configure false '["sh", "-c", "echo the program runs as pid $$ on $(hostname); exec sleep 60"]'
show create "$id"
show state "$id"
echo
show start "$id"
sleep 0.2
show state "$id"
echo
show list

say "More programs in it"
show exec "$id" sh -c '. /etc/os-release; echo "$PRETTY_NAME"; grep -E "^(Name|Pid|CapEff|NoNewPrivs)" /proc/self/status'
show exec --user 1000:1000 --cwd /tmp "$id" sh -c 'id -u; pwd; touch /etc/x || echo "the root is read-only"'
show ps "$id"

say "Its end"
show kill "$id" KILL
for _ in $(seq 100); do
    "$hull" --root "$work/state" state "$id" | grep -q '"stopped"' && break
    sleep 0.02
done
show state "$id"
echo
show delete "$id"
show list

say "A terminal of its own (script gives the demo one)"
configure true '["sh", "-c", "tty; stty size; echo typed: $(head -n1); exit 7"]'
printf 'hello from the keyboard\n' |
    script --quiet --return --command "stty rows 24 cols 80; '$hull' --root '$work/state' run '$id'" \
        /dev/null || echo "exit status of the container: $?"

say "Nothing is left"
for path in "/sys/fs/cgroup/$id" /sys/fs/cgroup/*/"$id"; do
    [ -e "$path" ] && echo "left: $path" && exit 1
done
grep "$work" /proc/self/mountinfo && exit 1
echo "no cgroup, no mount, no process"
