# shellcheck shell=bash
# Sourced by the scripts that work in containers of hull's own, with the demo's Debian as their root.

# begin NAME: $work, a scratch directory, and $id, the container's; both are gone at the end, and what
# is mounted on $work/layers and on either place of a root. $hull is the program.
begin() {
    if [ "$(id -u)" -ne 0 ]; then
        echo "$0 needs root" >&2
        exit 1
    fi
    # The demo makes the root file system, once.
    [ -x target/demo/rootfs/usr/bin/dpkg ] || runtime/demo/demo.sh "$hull"
    if [ ! -x target/demo/rootfs/usr/bin/dpkg ]; then
        echo "target/demo/rootfs is no Debian: debootstrap could not reach a mirror" >&2
        exit 1
    fi
    id=hull-$1-$$
    # Short: a unix socket's path has 108 bytes.
    work=$(mktemp -d "/tmp/hull-$1.XXXXXX")
    trap cleanup EXIT
}

cleanup() {
    "$hull" --root "$work/state" delete --force "$id" || true
    local place
    for place in bundle/rootfs rootfs layers; do umount "$work/$place" 2>/dev/null || true; done
    rm -rf "$work"
}
