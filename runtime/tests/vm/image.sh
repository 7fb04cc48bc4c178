#!/bin/bash
# image.sh DIR: makes DIR/disk.img, the disk of the virtual machine that run.sh boots: Debian with
# systemd as pid 1, cgroup v2, a user `sailor` (uid 2000) with subordinate ids and a delegated
# manager of his own. Needs root, debootstrap and user-mode-linux. Nothing is done if it is there.
set -euo pipefail
dir=$(mkdir -p "$1" && cd "$1" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
[ "$dir/disk.img" -nt "$here/image.sh" ] && [ "$dir/disk.img" -nt "$here/guest.sh" ] && exit 0
root=$dir/root
packages="systemd systemd-sysv dbus dbus-user-session libpam-systemd busybox-static iproute2 jq kmod
	libseccomp2 procps psmisc socat strace uidmap bats util-linux-extra apparmor"
if [ "$(cat "$dir/packages" 2>/dev/null)" != "$packages" ]; then
	rm -rf "$root" "$root.new"
	# shellcheck disable=SC2086
	debootstrap --variant=minbase --include="$(printf '%s,' $packages)" trixie "$root.new" \
		>"$dir/debootstrap.log" || { tail "$dir/debootstrap.log"; exit 1; }
	rm -rf "$root.new"/var/cache/apt/archives/*.deb "$root.new"/var/lib/apt/lists/*
	mv "$root.new" "$root"
	echo "$packages" >"$dir/packages"
fi
mkdir -p "$root/lib/modules" "$root/ctl"
cp -a /usr/lib/uml/modules/* "$root/lib/modules/"
# Quick boot: nothing but what the tests need.
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
	fstrim.timer getty@tty1.service systemd-hwdb-update.service systemd-udev-trigger.service \
	systemd-journal-catalog-update.service systemd-timesyncd.service tmp.mount \
	systemd-remount-fs.service systemd-random-seed.service console-getty.service \
	apparmor.service; do
	ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
echo 0123456789abcdef0123456789abcdef >"$root/etc/machine-id"
echo hull-vm >"$root/etc/hostname"
echo '127.0.0.1 localhost hull-vm' >"$root/etc/hosts"
: >"$root/etc/fstab"
chroot "$root" id sailor >/dev/null 2>&1 || chroot "$root" useradd -u 2000 -m -s /bin/bash sailor
echo sailor:100000:65536 >"$root/etc/subuid"
echo sailor:100000:65536 >"$root/etc/subgid"
mkdir -p "$root/var/lib/systemd/linger" "$root/etc/systemd/system/user@.service.d"
: >"$root/var/lib/systemd/linger/sailor"
printf '[Service]\nDelegate=yes\n' >"$root/etc/systemd/system/user@.service.d/delegate.conf"
install -m 0755 "$here/guest.sh" "$root/usr/local/sbin/guest"
cat >"$root/etc/systemd/system/guest.service" <<-'UNIT'
	[Unit]
	Description=The command the machine was booted for
	After=dbus.service user@2000.service
	Wants=user@2000.service
	[Service]
	ExecStart=/usr/local/sbin/guest
	KillMode=process
	TasksMax=infinity
	LimitNOFILE=65536
UNIT
mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
ln -sf /etc/systemd/system/guest.service "$root/etc/systemd/system/multi-user.target.wants/"
ln -sf /usr/lib/systemd/system/multi-user.target "$root/etc/systemd/system/default.target"
truncate -s 3G "$dir/disk.img.new"
mkfs.ext4 -q -F -O ^has_journal -E lazy_itable_init=1 -m 0 -d "$root" "$dir/disk.img.new"
mv "$dir/disk.img.new" "$dir/disk.img"
