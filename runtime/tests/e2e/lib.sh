# Shared by the engine scripts: a scratch directory, an image from busybox, clean endings.
# shellcheck shell=bash

set -euo pipefail

runtime=$(realpath "${1:?usage: $0 RUNTIME}")
engine=$(basename "$0" .sh)
# Short: a unix socket's path has 108 bytes.
work=$(mktemp -d "/tmp/hull-$engine.XXXXXX")
started=()

# The cgroup that holds an engine's containers, which engines leave; one that is there already is
# somebody else's.
case $engine in
containerd) parent=hull-test ;;
docker) parent=docker ;;
podman) parent=libpod_parent ;;
*) parent= ;; # Another script, which clears away its own.
esac
parents() {
    [ -n "$parent" ] || return 0
    find /sys/fs/cgroup -maxdepth 2 -type d -name "$parent" 2>/dev/null | sort
}
others=$(parents)

fail() {
    echo "FAIL $engine with $runtime: $*" >&2
    tail -n 30 "$work"/*.log >&2 2>/dev/null || true
    exit 1
}

# Compares what a step gave with what it should give.
expect() {
    local what=$1 want=$2 got=$3
    [ "$got" = "$want" ] || fail "$what: wanted '$want', got '$got'"
    echo "ok $engine: $what"
}

# Does the runtime have a command? Those beyond the specification's are for each to offer.
offers() {
    "$runtime" "$1" --help >/dev/null 2>&1 && return
    echo "skipped $engine: the runtime has no command $1"
    return 1
}

# Waits until a command succeeds.
eventually() {
    local what=$1
    shift
    for _ in $(seq 1200); do
        "$@" >/dev/null 2>&1 && return
        sleep 0.05
    done
    fail "not within a minute: $what"
}

# Ends the daemons this script started, and nothing else, and gives back what they mounted.
cleanup() {
    local status=$? pid
    trap - EXIT
    # An engine's own last words, before its daemon goes.
    if declare -F teardown >/dev/null; then teardown || true; fi
    for pid in "${started[@]}"; do
        kill "$pid" 2>/dev/null || true
    done
    for pid in "${started[@]}"; do
        for _ in $(seq 200); do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.05
        done
        kill -9 "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    awk -v dir="$work" 'index($5, dir) == 1 {print $5}' /proc/self/mountinfo | sort -r |
        while read -r point; do umount -l "$point" || true; done
    # rmdir leaves alone what is in use.
    comm -13 <(echo "$others") <(parents) |
        while read -r made; do find "$made" -depth -type d -exec rmdir {} + || true; done 2>/dev/null
    rm -rf --one-file-system "$work"
    if [ -d "$work" ]; then
        echo "left: $work" >&2
        status=1
    fi
    exit "$status"
}
trap cleanup EXIT

# Packs a root file system of the host's static busybox; no network involved.
make_rootfs_tar() {
    local rootfs=$work/rootfs
    mkdir -p "$rootfs"/{bin,dev,etc,proc,root,sys,tmp}
    cp /bin/busybox "$rootfs/bin/"
    "$rootfs/bin/busybox" --list | grep -vx busybox | while read -r applet; do
        ln -sf busybox "$rootfs/bin/$applet"
    done
    printf 'root:x:0:0:root:/root:/bin/sh\nsailor:x:1000:1000::/tmp:/bin/sh\n' >"$rootfs/etc/passwd"
    printf 'root:x:0:\nsailor:x:1000:\n' >"$rootfs/etc/group"
    tar -C "$rootfs" -cf "$work/rootfs.tar" .
}
