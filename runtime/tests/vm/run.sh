#!/bin/bash
# run.sh [-v HOST:GUEST[:rw]]... [-t SECONDS] DIR COMMAND
# Boots the disk of DIR (see image.sh) in User Mode Linux, runs COMMAND as root in it, prints its
# output and exits with its status: 124 when it took too long, 125 when the machine failed. What
# the command writes to the disk is thrown away. Its security module is AppArmor, or HULL_VM_LSM.
set -uo pipefail
shares=() limit=900
while getopts v:t: option; do
	case $option in
	v) shares+=("$OPTARG") ;;
	t) limit=$OPTARG ;;
	*) exit 125 ;;
	esac
done
shift $((OPTIND - 1))
dir=$1 command=$2
run=$(mktemp -d "${TMPDIR:-/tmp}/hull-vm-XXXXXX")
mkdir "$run/ctl"
printf '%s\n' ${shares[@]+"${shares[@]}"} >"$run/ctl/shares"
printf '%s\n' "$command" >"$run/ctl/command"
date +%s >"$run/ctl/date"
: >"$run/ctl/output"
# The machine's memory is a file: on a real disk it would be written back all the time.
TMPDIR=/dev/shm setsid linux.uml umid="$(basename "$run")" uml_dir="$run/uml" \
	mem="${HULL_VM_MEMORY:-1536}M" ubd0="$run/cow,$dir/disk.img" root=/dev/ubda rw quiet \
	con=null con0=null,fd:1 ssl=null lsm="${HULL_VM_LSM:-apparmor}" systemd.show_status=0 hull_ctl="$run/ctl" \
	</dev/null >"$run/console" 2>&1 &
machine=$!
tail -c +1 -f "$run/ctl/output" --pid=$machine &
follow=$!
stop() {
	# A session of its own: all processes of the machine, and nothing else.
	kill -9 -- -$machine 2>/dev/null
	wait $machine 2>/dev/null
	wait $follow 2>/dev/null
	rm -rf "$run"
}
trap stop EXIT
trap 'exit 130' INT TERM
end=$((SECONDS + limit))
until [ -e "$run/ctl/status" ]; do
	kill -0 $machine 2>/dev/null || { tail -20 "$run/console" >&2; exit 125; }
	[ $SECONDS -lt $end ] || { echo "no end within $limit seconds" >&2; exit 124; }
	sleep 0.2
done
exit "$(cat "$run/ctl/status")"
