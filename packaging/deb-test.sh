#!/bin/bash
# Installs the packages in a fresh Debian, uses what they bring, and removes them again: nothing may
# be left. The Debian is a container made by hull itself from debootstrap's root file system.
#
#     packaging/deb-test.sh target/hull target/deb
set -euo pipefail

hull=$(realpath "$1")
packages=$(realpath "$2")
cd "$(dirname "$0")/.."
. packaging/container.sh

begin deb
mkdir -p "$work/bundle/rootfs" "$work/layers"
# The upper layer of an overlay can't be on an overlay.
mount -t tmpfs tmpfs "$work/layers"
mkdir "$work/layers/upper" "$work/layers/work"
mount -t overlay overlay "$work/bundle/rootfs" \
    -o "lowerdir=$PWD/target/demo/rootfs,upperdir=$work/layers/upper,workdir=$work/layers/work"
install -m 0755 packaging/deb-test-inside.sh "$work/inside.sh"

capabilities='["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_SETGID",
    "CAP_SETUID", "CAP_SYS_CHROOT"]'
cat >"$work/bundle/config.json" <<END
{
  "ociVersion": "1.2.0",
  "process": {
    "user": {"uid": 0, "gid": 0},
    "args": ["/inside.sh"],
    "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive"],
    "cwd": "/",
    "capabilities": {"bounding": $capabilities, "effective": $capabilities, "permitted": $capabilities}
  },
  "root": {"path": "rootfs"},
  "mounts": [
    {"destination": "/proc", "type": "proc", "source": "proc"},
    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]},
    {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"},
    {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"]},
    {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"]},
    {"destination": "/packages", "source": "$packages", "options": ["rbind", "ro"]},
    {"destination": "/inside.sh", "source": "$work/inside.sh", "options": ["rbind", "ro"]}
  ],
  "linux": {
    "cgroupsPath": "/$id",
    "resources": {"devices": [{"allow": false, "access": "rwm"}]},
    "namespaces": [
      {"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}
    ]
  }
}
END
"$hull" --root "$work/state" run --bundle "$work/bundle" "$id" </dev/null
