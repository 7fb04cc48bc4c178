#!/bin/bash
# Process 1 of the container in which a page needs systemd: boots it, and runs the page's commands as a
# service of it. What they print, and at last their exit code, is in /out.
set -euo pipefail

# systemd takes cgroup v2 alone; controllers are not needed.
if [ "$(stat -f -c %T /sys/fs/cgroup)" != cgroup2fs ]; then
    umount -R /sys/fs/cgroup
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
fi
mkdir -p /run/systemd/system
cat >/run/systemd/system/page.service <<END
[Service]
Type=oneshot
Environment=HOME=/root PATH=$PATH LC_ALL=C
WorkingDirectory=/root
ExecStart=/commands/page.sh $1
ExecStopPost=/bin/sh -c 'echo \$EXIT_STATUS >/out/status; systemctl --no-block exit'
StandardOutput=file:/out/log
StandardError=inherit
END
exec /usr/lib/systemd/systemd --unit=page.service
