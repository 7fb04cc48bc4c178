#!/bin/bash
# Kills deck, shims and runtimes with SIGKILL at random moments while containers come and go, then
# asks: does `ps` tell the truth, is anything left on the host, are the volumes whole?
# usage: chaos.sh DECK HULL SHIM [KILLS [SEED]]
set -u
if [ "${1:-}" != --inside ]; then
	[ $# -ge 3 ] || { echo "usage: $0 DECK HULL SHIM [KILLS [SEED]]" >&2; exit 2; }
	exec unshare --net --mount --propagation private "$0" --inside "$@"
fi
shift
deck=$(realpath "$1") hull=$(realpath "$2") shim=$(realpath "$3")
kills=${4:-60} seed=${5:-$RANDOM}
work=$(mktemp -d /tmp/deck-chaos.XXXXXX)
# Until the last line says otherwise: a script that is cut off has not shown anything.
failed=0 complete=0
RANDOM=$seed
echo "seed $seed, $kills kills"
ip link set lo up

# The environment is given to deck alone: by it the processes that may be killed are known.
deck() {
	timeout -s KILL 120 env DECK_DATA_ROOT="$work/d" DECK_EXEC_ROOT="$work/r" \
		DECK_CONFIG_ROOT="$work/c" DECK_RUNTIME="$hull" DECK_SHIM="$shim" DECK_HOST=local \
		"$deck" "$@" </dev/null
}

bad() { echo "not ok - $*"; failed=$((failed + 1)); }

# ours: the pids of deck, shims and runtimes at work in $work. Not `timeout`, which is mine.
ours() {
	grep -lzs "^DECK_DATA_ROOT=$work/d" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3 |
		while read -r pid; do
			case $(readlink "/proc/$pid/exe") in
			"$deck" | "$shim" | "$hull" | /memfd:* | "/ (deleted)" | /) echo "$pid" ;;
			esac
		done
}

finish() {
	touch "$work/stop"
	kill "${workers[@]}" 2>/dev/null
	wait "${workers[@]}" 2>/dev/null
	ours | xargs -r kill -9
	for point in $(awk -v dir="$work" 'index($5, dir) == 1 {print $5}' /proc/self/mountinfo); do
		umount -l "$point" 2>/dev/null
	done
	rmdir /sys/fs/cgroup/deck /sys/fs/cgroup/*/deck 2>/dev/null
	[ "$complete" = 1 ] || bad "the script did not come to its end"
	if [ "$failed" = 0 ]; then
		rm -rf --one-file-system "$work"
		echo "all is well"
		exit 0
	fi
	echo "$failed failed; seed $seed; see $work"
	exit 1
}
workers=()
trap finish EXIT

image() {
	mkdir -p "$work/image"/{bin,tmp,data}
	cp "$(command -v busybox)" "$work/image/bin/busybox"
	for applet in sh sleep true echo cat; do ln -s busybox "$work/image/bin/$applet"; done
	echo seeded >"$work/image/data/seed"
	tar -C "$work/image" -c . | timeout 120 env DECK_DATA_ROOT="$work/d" DECK_EXEC_ROOT="$work/r" \
		DECK_CONFIG_ROOT="$work/c" DECK_HOST=local "$deck" import - box:1 >/dev/null
	deck run --rm -v kept:/data --network none box:1 sh -c 'echo precious >/data/precious'
}

# Containers of five kinds come and go under five names each.
come_and_go() {
	local worker=$1 number=0 name
	while [ ! -e "$work/stop" ]; do
		number=$((number + 1))
		name=c$worker-$((number % 5))
		case $(((number + worker) % 5)) in
		0) deck run --rm --name "$name" box:1 true ;;
		1) deck run -d --name "$name" -v kept:/data -v /anon box:1 sleep 1000 ;;
		2) deck run -d --name "$name" --restart on-failure:2 box:1 sh -c 'sleep 0.1; exit 1' ;;
		3) deck exec "c$worker-1" sh -c "echo $number >/data/$name" ;;
		4) deck stop -t 0 "$name" ;;
		esac
		deck rm -f -v "c$worker-$(((number + 2) % 5))"
	done >>"$work/log.$worker" 2>&1
}

# Up to $kills times, after a moment each, one of them.
kill_some() {
	local count=0 victims
	while [ "$count" -lt "$kills" ]; do
		sleep "0.$((RANDOM % 3))$((RANDOM % 10))"
		mapfile -t victims < <(ours)
		[ ${#victims[@]} -gt 0 ] || continue
		kill -9 "${victims[RANDOM % ${#victims[@]}]}" 2>/dev/null && count=$((count + 1))
	done
}

# Every container that is said to run has its process, every other one has none.
truth() {
	local id name pid state
	for id in $(deck ps -aq --no-trunc); do
		read -r name state pid < <(deck inspect -f '{{.Name}} {{.State.Status}} {{.State.Pid}}' "$id")
		case $state in
		running) [ -e "/proc/$pid/ns/pid" ] || bad "$name runs without its process $pid" ;;
		exited | created | dead)
			grep -qs "$id" /proc/[0-9]*/cgroup && bad "$name is $state, and processes are in its cgroup"
			;;
		esac
	done
}

nothing_runs() { [ -z "$(ours)" ]; }

# What there is once all containers are removed: nothing.
leftovers() {
	local left
	# A shim whose starter was killed before it said where it is ends by itself, after a minute.
	for _ in $(seq 1800); do nothing_runs && break; sleep 0.1; done
	left=$(ours)
	[ -z "$left" ] || bad "processes are left: $(for pid in $left; do tr '\0' ' ' <"/proc/$pid/cmdline"; done)"
	left=$(awk -v dir="$work" 'index($5, dir) == 1 {print $5}' /proc/self/mountinfo)
	[ -z "$left" ] || bad "mounts are left: $left"
	for _ in $(seq 600); do [ "$(ip -br link | grep -vc '^lo ')" = 0 ] && break; sleep 0.1; done
	left=$(ip -br link | grep -v '^lo ')
	[ -z "$left" ] || bad "interfaces are left: $left"
	left=$(nft list tables)
	[ -z "$left" ] || bad "tables are left: $left"
	for place in d/containers r/b r/netns r/r/deck r/mnt r/s; do
		# The runtime keeps compiled seccomp profiles beside its containers.
		left=$(ls "$work/$place" 2>/dev/null | grep -v '^,')
		[ -z "$left" ] || bad "left in $place: $left"
	done
	for id in $(cat "$work/ids"); do
		left=$(find /sys/fs/cgroup -maxdepth 4 -name "*$id*" 2>/dev/null)
		[ -z "$left" ] || bad "cgroups are left: $left"
	done
	left=$(deck volume ls -q)
	[ "$left" = kept ] || bad "volumes are left: $left"
	[ "$(deck run --rm --network none -v kept:/data box:1 cat /data/precious /data/seed)" = $'precious\nseeded' ] ||
		bad "the volume lost what was in it"
}

image
for worker in 1 2 3 4; do
	come_and_go "$worker" &
	workers+=($!)
done
kill_some
touch "$work/stop"
wait "${workers[@]}"
workers=()
deck ps -a >"$work/ps" 2>&1 || bad "ps: $(cat "$work/ps")"
truth
deck ps -aq --no-trunc >"$work/ids"
# Those that are being started again meanwhile are removed as well.
for _ in 1 2 3; do
	deck ps -aq | timeout 300 xargs -r env DECK_DATA_ROOT="$work/d" DECK_EXEC_ROOT="$work/r" \
		DECK_CONFIG_ROOT="$work/c" DECK_RUNTIME="$hull" DECK_SHIM="$shim" DECK_HOST=local \
		"$deck" rm -f -v >"$work/rm" 2>&1 && break
	cat "$work/rm"
done
left=$(deck ps -aq)
[ -z "$left" ] || bad "containers are left: $left"
leftovers
complete=1
