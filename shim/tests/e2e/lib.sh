# A private containerd that finds the shim and an engine called hull in its PATH.
# shellcheck shell=bash
#
#     SCRIPT.sh SHIM ENGINE

shim=$(realpath "${1:?usage: $0 SHIM ENGINE}")
. "$(dirname "${BASH_SOURCE[0]}")/../../../runtime/tests/e2e/lib.sh" "${2:?usage: $0 SHIM ENGINE}"

# Its own, so that cgroups, sockets and the engine's state can be told from others'.
namespace=hull-shim-$$
engine_root=/run/containerd/runc/$namespace
socket=$work/c.sock
ctr() {
    timeout -s KILL 60 ctr --address "$socket" --namespace "$namespace" "$@"
}

# Waits until a command succeeds; a busy machine may take its time.
eventually() {
    local what=$1 until=$((SECONDS + ${PATIENCE:-60}))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$until" ] || fail "not in time: $what"
        sleep 0.05
    done
}

# The shims that serve for this daemon.
shims() {
    pgrep -f "^$work/bin/containerd-shim[a-z0-9-]* -namespace $namespace " || true
}

# What containers leave behind when something leaks.
leftovers() {
    shims | sed 's/^/shim /'
    # Groups of others may go while it looks.
    find /sys/fs/cgroup -maxdepth 3 -type d -path "*/$namespace/*" 2>/dev/null |
        sed 's/^/cgroup /'
    find "$engine_root" -mindepth 1 -maxdepth 1 2>/dev/null | sed 's/^/state /'
    find "$work"/state/io.containerd.runtime.v2.task/"$namespace" -mindepth 1 -maxdepth 1 \
        2>/dev/null | sed 's/^/bundle /'
    awk -v dir="$work/state" 'index($5, dir) == 1 {print "mount", $5}' /proc/self/mountinfo
}
nothing_left() {
    [ -z "$(leftovers)" ]
}

teardown() {
    local task pid
    if ctr version >/dev/null 2>&1; then
        for task in $(ctr tasks list --quiet); do
            ctr tasks kill --signal KILL "$task"
            ctr tasks delete --force "$task"
        done >/dev/null 2>&1
    fi
    for pid in $(shims); do kill -9 "$pid"; done
    for task in "$engine_root"/*; do
        [ -d "$task" ] && "$runtime" --root "$engine_root" delete --force "${task##*/}"
    done
    rm -rf "$engine_root"
    find /sys/fs/cgroup -depth -type d -path "*/$namespace*" -exec rmdir {} + 2>/dev/null
    return 0
}

blob() {
    local sum
    sum=$(sha256sum "$1" | cut -d' ' -f1)
    mv "$1" "$work/image/blobs/sha256/$sum"
    echo "$sum"
}
make_image() {
    local layer config manifest arch
    arch=$(uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/')
    mkdir -p "$work/image/blobs/sha256"
    size() { stat -c %s "$work/image/blobs/sha256/$1"; }
    cp "$work/rootfs.tar" "$work/layer"
    layer=$(blob "$work/layer")
    printf '{"architecture":"%s","os":"linux","config":{"Env":["PATH=/bin"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
        "$arch" "$layer" >"$work/config"
    config=$(blob "$work/config")
    printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:%s","size":%s},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"sha256:%s","size":%s}]}' \
        "$config" "$(size "$config")" "$layer" "$(size "$layer")" >"$work/manifest"
    manifest=$(blob "$work/manifest")
    printf '{"imageLayoutVersion":"1.0.0"}' >"$work/image/oci-layout"
    printf '{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:%s","size":%s,"annotations":{"io.containerd.image.name":"busy:test"}}]}' \
        "$manifest" "$(size "$manifest")" >"$work/image/index.json"
    tar -C "$work/image" -cf "$work/image.tar" .
}

# The daemon's PATH: the shim under both names it is called by, the engine as hull and as runc.
mkdir -p "$work/bin"
cp "$shim" "$work/bin/containerd-shim-hull-v2"
ln -s containerd-shim-hull-v2 "$work/bin/containerd-shim-runc-v2"
ln -s "$runtime" "$work/bin/hull"

write_config() {
    cat >"$work/config.toml" <<EOF
version = 2
root = "$work/root"
state = "$work/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs"]
[grpc]
address = "$socket"
[ttrpc]
address = "$work/t.sock"
EOF
}

daemon=
start_daemon() {
    PATH=$work/bin:$PATH containerd --config "$work/config.toml" --log-level warn \
        >>"$work/containerd.log" 2>&1 &
    daemon=$!
    started+=("$daemon")
    eventually "containerd answers" ctr version
}

# Ends the daemon with a signal, and waits for its end.
stop_daemon() {
    kill "-$1" "$daemon"
    wait "$daemon" 2>/dev/null || true
}

# Events from now on, one a line, into a file.
watch_events() {
    # Not by the function, which would end it after a minute.
    env ctr --address "$socket" --namespace "$namespace" events >"$1" 2>/dev/null &
    started+=($!)
    # The subscription is there when a first event has come through.
    subscribed() {
        ctr namespaces label "$namespace" seen=$RANDOM && [ -s "$1" ]
    }
    eventually "events come" subscribed "$1"
}

setup() {
    make_rootfs_tar
    make_image
    write_config
    start_daemon
    local here=()
    # containerd 2 would import through its transfer service, which has its own snapshotters.
    [[ $(ctr images import --help) != *--local* ]] || here=(--local)
    ctr images import "${here[@]}" --snapshotter native "$work/image.tar" >/dev/null
}
