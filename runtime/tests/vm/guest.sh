#!/bin/bash
# Runs in the virtual machine as a service: mounts the folders of the host that run.sh shares, runs
# the command, leaves its exit status and ends the machine.
exec </dev/null
ctl=$(sed -n 's/.*hull_ctl=\([^ ]*\).*/\1/p' /proc/cmdline)
mount -t hostfs none /ctl -o "$ctl"
exec >/ctl/output 2>&1
date -s "@$(cat /ctl/date)" >/dev/null
ip link set lo up
modprobe -a overlay dummy veth 2>/dev/null
while IFS=: read -r host guest mode; do
	[ -n "$host" ] || continue
	mkdir -p "$guest"
	mount -t hostfs none "$guest" -o "$host"
	[ "$mode" = rw ] || mount -o remount,ro "$guest"
done </ctl/shares
export HOME=/root USER=root LOGNAME=root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin
cd /
bash /ctl/command
echo $? >/ctl/status.new
mv /ctl/status.new /ctl/status
sync
echo o >/proc/sysrq-trigger
poweroff -ff
