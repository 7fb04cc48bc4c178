#!/bin/sh
# Runs a command in a mount namespace whose /sys/fs/cgroup holds the cgroup v1 hierarchies only.
#
# crun refuses a hybrid layout whose unified hierarchy has controllers of its own. Unmounting that
# hierarchy alone leaves its directory on the host's tmpfs, which runtimes would fill.
set -eu
if [ "${1:-}" != --inside ]; then
    grep -q ' - cgroup2 ' /proc/self/mountinfo && grep -q ' - cgroup ' /proc/self/mountinfo ||
        exec "$@"
    exec unshare --mount "$0" --inside "$@"
fi
shift
mount -t tmpfs -o mode=755 tmpfs /mnt
awk '/ - cgroup / && $5 ~ "^/sys/fs/cgroup/[^/]+$" {print $5}' /proc/self/mountinfo | sort -u |
    while read -r hierarchy; do
        name=$(basename "$hierarchy")
        mkdir "/mnt/$name"
        mount --bind "$hierarchy" "/mnt/$name"
    done
mount --move /mnt /sys/fs/cgroup
exec "$@"
