#!/bin/bash
# vm.sh SUITE [ARGUMENT...]: runs the suite in a virtual machine with systemd and cgroup v2 alone
# (see runtime/tests/vm), first as root, then as an ordinary user. HULL_VM_DIR caches its disk.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
vm=$here/../runtime/tests/vm
dir=${HULL_VM_DIR:-$HOME/.cache/hull-vm}
share=$(mktemp -d "${TMPDIR:-/tmp}/conformance-vm-XXXXXX")
trap 'rm -rf "$share"' EXIT
chmod 755 "$share"
install -m 0755 "$1" "$share/suite" || exit 1
install -m 0755 "$here/unprivileged.sh" "$share/unprivileged.sh" || exit 1
shift
arguments=()
while [ $# -gt 0 ]; do
	if [ "$1" = --runtime ] && [ -f "${2:-}" ]; then
		install -m 0755 "$2" "$share/$(basename "$2")" || exit 1
		arguments+=(--runtime "/suite/$(basename "$2")")
		shift 2
	else
		arguments+=("$1")
		shift
	fi
done
"$vm/image.sh" "$dir" || exit 1
words=$(printf '%q ' "${arguments[@]}")
"$vm/run.sh" -t 3000 -v "$share:/suite" "$dir" "
mount -t tmpfs -o mode=1777 tmpfs /tmp
touch /run/hull-conformance-may-set-the-clock
cd /tmp
echo '== root'; /suite/suite $words; root=\$?
echo '== ordinary user'; /suite/unprivileged.sh /suite/suite $words; user=\$?
exit \$((root | user))
"
