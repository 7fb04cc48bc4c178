#!/bin/bash
# containerd with a runtime: image, run, exec, kill, delete. Directories and socket of its own.
#
#     runtime/tests/e2e/containerd.sh /usr/sbin/runc
. "$(dirname "$0")/lib.sh"

socket=$work/c.sock
ctr() {
    command ctr --address "$socket" --namespace hull-test "$@"
}
teardown() {
    local task
    [ -S "$socket" ] || return 0
    for task in $(ctr tasks list --quiet); do
        ctr tasks kill --signal KILL "$task"
        ctr tasks delete --force "$task"
    done >/dev/null 2>&1
    for task in $(ctr containers list --quiet); do
        ctr containers delete "$task"
    done >/dev/null 2>&1
}

# An OCI image by hand: one layer, one configuration, one index.
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

make_rootfs_tar
make_image
cat >"$work/config.toml" <<EOF
version = 2
root = "$work/root"
state = "$work/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs"]
[grpc]
address = "$socket"
EOF
containerd --config "$work/config.toml" --log-level warn >"$work/containerd.log" 2>&1 &
started+=($!)
eventually "containerd answers" ctr version
ctr images import "$work/image.tar" >/dev/null
run=(--runc-binary "$runtime" --snapshotter native)

expect "output" "hello" "$(ctr run --rm "${run[@]}" busy:test one echo hello)"
status=0
ctr run --rm "${run[@]}" busy:test two sh -c 'exit 7' || status=$?
expect "exit status" 7 "$status"
status=0
ctr run --rm "${run[@]}" busy:test three /no/such/program >"$work/no.out" 2>&1 || status=$?
[ "$status" -ne 0 ] || fail "a missing program runs"
grep -q "no such file or directory" "$work/no.out" || fail "its error: $(cat "$work/no.out")"
echo "ok $engine: a missing program"
ctr containers delete three >/dev/null 2>&1 || true

ctr run --detach "${run[@]}" --memory-limit 67108864 busy:test four \
    sh -c 'exec sleep 1000' >/dev/null
expect "state" "RUNNING" "$(ctr tasks list | awk '$1 == "four" {print $3}')"
expect "exec" "in" "$(ctr tasks exec --exec-id e1 four echo in)"
status=0
ctr tasks exec --exec-id e2 four sh -c 'exit 9' || status=$?
expect "exit status of exec" 9 "$status"
expect "exec as a user" "1000" "$(ctr tasks exec --exec-id e3 --user 1000 four id -u)"
ctr tasks ps four | grep '[0-9]' >/dev/null || fail "no processes listed"
ctr tasks metrics four >/dev/null
if offers pause; then
    ctr tasks pause four
    expect "paused" "PAUSED" "$(ctr tasks list | awk '$1 == "four" {print $3}')"
    ctr tasks resume four
    expect "resumed" "RUNNING" "$(ctr tasks list | awk '$1 == "four" {print $3}')"
fi
expect "a terminal" "/dev/pts/0" "$(script --quiet --return --command \
    "ctr --address $socket --namespace hull-test run --rm --tty ${run[*]} busy:test five tty" \
    /dev/null </dev/null | grep -o /dev/pts/0)"
ctr tasks kill --signal KILL four
eventually "stopped" sh -c "ctr --address $socket -n hull-test tasks list | grep -q STOPPED"
ctr tasks delete four >/dev/null 2>&1 || true
ctr containers delete four
expect "containers left" "" "$(ctr containers list --quiet)"
