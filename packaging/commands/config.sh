# shellcheck shell=bash
# Sourced by docs-commands.sh: the containers that the commands run in.

# config ID ROOTFS NETWORK PROGRAM MOUNT...: a config.json for a privileged container, in which engines
# run: every capability and device, writable cgroups of its own, and tmpfs where engines keep layers,
# since the upper directory of an overlay can't be on an overlay. NETWORK is `own` or `host`, PROGRAM
# one or more words without blanks; a MOUNT is SOURCE:DESTINATION.
config() {
    local id=$1 rootfs=$2 network=$3 program=$4 mounts="" mount all
    shift 4
    program=$(sed 's/ /", "/g' <<<"$program")
    for mount in /tmp /run /home /var/lib/docker /var/lib/containerd /var/lib/containers \
        /var/lib/deck; do
        mounts+=", {\"destination\": \"$mount\", \"type\": \"tmpfs\", \"source\": \"tmpfs\"}"
    done
    for mount in "$@"; do
        mounts+=", {\"destination\": \"${mount#*:}\", \"source\": \"${mount%%:*}\",
            \"options\": [\"rbind\"]}"
    done
    # What this process has itself; nobody can give more.
    all=$(capsh --decode="$(sed -n 's/^CapBnd:\t//p' /proc/self/status)" |
        sed 's/.*=\(.*\)/["\U\1"]/; s/,/", "/g')
    [ "$network" = host ] && network="" || network=', {"type": "network"}'
    cat <<END
{
  "ociVersion": "1.2.0",
  "process": {
    "user": {"uid": 0, "gid": 0},
    "args": ["$program"],
    "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C",
        "HOME=/root", "container=hull", "DEBIAN_FRONTEND=noninteractive"],
    "cwd": "/root",
    "capabilities": {"bounding": $all, "effective": $all, "permitted": $all}
  },
  "root": {"path": "$rootfs"},
  "hostname": "debian",
  "mounts": [
    {"destination": "/proc", "type": "proc", "source": "proc"},
    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]},
    {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
     "options": ["newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
    {"destination": "/dev/shm", "type": "tmpfs", "source": "tmpfs", "options": ["mode=1777"]},
    {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue"},
    {"destination": "/sys", "type": "sysfs", "source": "sysfs"},
    {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup"}$mounts
  ],
  "linux": {
    "cgroupsPath": "/$id",
    "resources": {"devices": [{"allow": true, "access": "rwm"}]},
    "devices": [
      {"path": "/dev/net/tun", "type": "c", "major": 10, "minor": 200, "fileMode": 438},
      {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 438}
    ],
    "namespaces": [
      {"type": "pid"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}, {"type": "cgroup"}$network
    ]
  }
}
END
}
