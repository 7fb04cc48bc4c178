# shellcheck shell=bash
# Shared by docker-cli.sh and docker-note.sh: a network and a mount namespace of its own, deck's
# directories below one scratch directory, counted checks, and an ending that shows what is left.
# Sourced first; a `teardown` of the script's own ends what it started.
set -u
if [ "${1:-}" != --inside ]; then
	[ $# -ge 3 ] || { echo "usage: $0 DECK HULL SHIM [DOCKER]" >&2; exit 2; }
	exec unshare --net --mount --propagation private "$0" --inside "$@"
fi
shift
deck=$(realpath "$1") hull=$(realpath "$2") shim=$(realpath "$3") docker=${4:-docker}
work=$(mktemp -d /tmp/deck-e2e.XXXXXX)
export DECK_DATA_ROOT=$work/d DECK_EXEC_ROOT=$work/r DECK_CONFIG_ROOT=$work/c
export DECK_RUNTIME=$hull DECK_SHIM=$shim DOCKER_CONFIG=$work/docker
unset DOCKER_HOST DOCKER_TLS_VERIFY DOCKER_CERT_PATH DECK_HOST
# The door a check goes through, for what is told of it.
door=
failed=0 passed=0
mkdir -p "$DOCKER_CONFIG"
ip link set lo up

# until_true COMMAND...: waits for a minute. In a trap a bare `return` would give the status before it.
until_true() {
	for _ in $(seq 600); do "$@" >/dev/null 2>&1 && return 0; sleep 0.1; done
	return 1
}

# is NAME EXPECTED COMMAND...: standard output and error, trimmed, match a pattern.
is() {
	local name=$1 expected=$2 got
	shift 2
	# `timeout` runs programs, not functions of the script.
	if declare -F "$1" >/dev/null; then got=$("$@" 2>&1 </dev/null); else
		got=$(timeout 60 "$@" 2>&1 </dev/null)
	fi
	# shellcheck disable=SC2053 -- a pattern is meant
	if [[ $got == $expected ]]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		printf 'not ok - %s%s\n  expected: %s\n  got: %s\n' "$door" "$name" "$expected" "$got"
	fi
}

no_links() { [ "$(ip -br link | grep -vc '^lo ')" = 0 ]; }
no_shims() { ! pgrep -f -- "-address $work"; }

finish() {
	local status=$?
	trap - EXIT
	teardown
	left=$(grep -c "$work" /proc/self/mountinfo)
	[ "$left" = 0 ] || { echo "not ok - $left mounts are left"; failed=$((failed + 1)); }
	# Bridges go a moment after the last container.
	until_true no_links
	links=$(ip -br link | grep -vc '^lo ')
	[ "$links" = 0 ] || { echo "not ok - $links interfaces are left"; failed=$((failed + 1)); }
	# Shims end after their last answer.
	if ! until_true no_shims; then
		echo "not ok - shims are left"; failed=$((failed + 1))
		pgrep -f -- "-address $work" | xargs -r kill -9
	fi
	rmdir /sys/fs/cgroup/deck /sys/fs/cgroup/*/deck 2>/dev/null
	rm -rf "$work"
	echo "$passed passed, $failed failed"
	# A script that gave up before its first check has failed as well. In a trap a bare `exit` would
	# give the status before it, too.
	[ "$failed" = 0 ] && [ "$status" = 0 ]
	exit $?
}
trap finish EXIT
# Cut short by a signal it still clears away.
trap 'exit 1' HUP INT TERM
