#!/bin/bash
# deck beside Docker and Podman: what a container costs in time and memory. Each engine works in the
# same network namespace, with directories of its own, and they take turns.
# usage: bench.sh DECK HULL SHIM [ROUNDS]; a table in Markdown on standard output
set -u
if [ "${1:-}" != --inside ]; then
	[ $# -ge 3 ] || { echo "usage: $0 DECK HULL SHIM [ROUNDS]" >&2; exit 2; }
	exec unshare --net --mount --propagation private "$0" --inside "$@"
fi
shift
deck=$(realpath "$1") hull=$(realpath "$2") shim=$(realpath "$3") rounds=${4:-15}
work=$(mktemp -d /tmp/deck-bench.XXXXXX)
export DECK_DATA_ROOT=$work/d DECK_EXEC_ROOT=$work/r DECK_CONFIG_ROOT=$work/c
export DECK_RUNTIME=$hull DECK_SHIM=$shim DECK_HOST=local
unset DOCKER_HOST CONTAINER_HOST
engines=(deck docker podman)
ip link set lo up
mount -t tmpfs none /run && mkdir /run/lock

engine() {
	local name=$1
	shift
	case $name in
	deck) "$deck" "$@" ;;
	docker) docker --host "unix://$work/docker.sock" --config "$work/client" "$@" ;;
	podman)
		# The defaults would raise limits, which not every machine lets root do.
		case $1 in
		run | create)
			set -- "$1" --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 "${@:2}"
			;;
		esac
		# crun refuses a hybrid cgroup layout.
		podman --runtime /usr/sbin/runc --root "$work/p" --runroot "$work/pr" --tmpdir "$work/pt" \
			--cgroup-manager cgroupfs --events-backend file "$@"
		;;
	esac
}

finish() {
	for name in "${engines[@]}"; do
		engine "$name" ps -aq 2>/dev/null | sort -u | while read -r id; do
			engine "$name" rm -f "$id" </dev/null
		done >/dev/null 2>&1
	done
	kill "$daemon" 2>/dev/null
	wait "$daemon" 2>/dev/null
	for point in $(awk -v dir="$work" 'index($5, dir) == 1 {print $5}' /proc/self/mountinfo | sort -r); do
		umount -l "$point" 2>/dev/null
	done
	rm -rf --one-file-system "$work"
	# Docker and Podman leave the parents of their containers' cgroups, unless they were there before.
	for parent in "${parents[@]}"; do
		find "$parent" -depth -type d -exec rmdir {} + 2>/dev/null
	done
}
parents=()
for parent in /sys/fs/cgroup/{,*/}{docker,libpod_parent}; do
	[ -d "$parent" ] || parents+=("$parent")
done
trap finish EXIT

mkdir -p "$work"/client "$work"/image/{bin,etc,tmp,srv,var/log/nginx,var/lib/nginx,run,etc/nginx}
cp "$(command -v busybox)" "$work/image/bin/busybox"
for applet in sh sleep true; do ln -s busybox "$work/image/bin/$applet"; done
for file in "$(command -v nginx)" $(ldd "$(command -v nginx)" | grep -o '/[^ ]*'); do
	mkdir -p "$work/image$(dirname "$file")"
	cp -L "$file" "$work/image$file"
done
echo 'root:x:0:0:root:/:/bin/sh' >"$work/image/etc/passwd"
echo 'root:x:0:' >"$work/image/etc/group"
head -c 1000 /dev/zero | tr '\0' x >"$work/image/srv/index.html"
cat >"$work/image/etc/nginx/nginx.conf" <<CONF
user root; daemon off; error_log stderr; pid /run/nginx.pid; events {}
http { access_log off; keepalive_requests 1000000; server { listen 80; root /srv; } }
CONF
echo '{}' >"$work/daemon.json"
dockerd --host "unix://$work/docker.sock" --data-root "$work/k" --exec-root "$work/kr" \
	--pidfile "$work/docker.pid" --bip 10.99.0.1/24 --config-file "$work/daemon.json" \
	--exec-opt native.cgroupdriver=cgroupfs --log-level error >"$work/docker.log" 2>&1 &
daemon=$!
for _ in $(seq 600); do engine docker version >/dev/null 2>&1 && break; sleep 0.1; done
for name in "${engines[@]}"; do
	tar -C "$work/image" -c . | engine "$name" import - localhost/box:1 >/dev/null 2>"$work/err" ||
		{ echo "$name can't be measured: $(tail -n 1 "$work/err")" >&2; exit 1; }
done

# Milliseconds of a command.
took() {
	local start=${EPOCHREALTIME/./}
	"$@" >/dev/null 2>>"$work/err" </dev/null || echo "failed: $*" >>"$work/err"
	echo $(((${EPOCHREALTIME/./} - start) / 10)) | sed 's/\(.*\)\(..\)$/\1.\2/'
}

median() { sort -n "$1" | awk '{a[NR] = $1} END {print a[int((NR + 1) / 2)]}'; }

# row TEXT UNIT MEASURE...: one line of the table; what is measured gets the engine's name first.
row() {
	local text=$1
	shift
	for name in "${engines[@]}"; do : >"$work/t.$name"; done
	for _ in $(seq "$rounds"); do
		for name in "${engines[@]}"; do "$@" "$name" >>"$work/t.$name"; done
	done
	printf '| %s |' "$text"
	for name in "${engines[@]}"; do printf ' %s |' "$(median "$work/t.$name")"; done
	echo
}

run_rm() { took engine "$1" run --rm localhost/box:1 true; }
run_d() {
	took engine "$1" run -d --name timed localhost/box:1 sleep 1000
	engine "$1" rm -f timed >/dev/null 2>&1
}
list() { took engine "$1" ps -a; }

# Proportional memory, in MiB, of what stays beside containers.
resident() {
	local pids pid own
	own=$(readlink /proc/self/ns/net)
	case $1 in
	deck) pids=$(pgrep -f -- "-address $work/r" || true) ;;
	docker) pids=$(for name in dockerd containerd docker-proxy containerd-shim; do pgrep -x $name; done) ;;
	podman) pids=$(for name in conmon netavark aardvark-dns; do pgrep -x $name; done) ;;
	esac
	for pid in $pids; do
		[ "$(readlink "/proc/$pid/ns/net")" = "$own" ] || continue
		if [ "$1" = docker ] && grep -qz -- "$work/r/deck.sock" "/proc/$pid/cmdline"; then continue; fi
		awk '/^Pss:/ {print $2}' "/proc/$pid/smaps_rollup"
	done | awk '{sum += $1} END {printf "%.1f\n", sum / 1024}'
}

memory() {
	printf '| %s |' "$1"
	for name in "${engines[@]}"; do printf ' %s |' "$(resident "$name")"; done
	echo
}

start_some() {
	for name in "${engines[@]}"; do
		for number in $(seq "$1" "$2"); do
			engine "$name" run -d --name "m$number" localhost/box:1 sleep 10000
		done >/dev/null 2>>"$work/err"
	done
}

# Requests in a second through a published port, from the host.
requests() {
	local port=$1 address=$2
	wrk -t 1 -c 8 -d 3s "http://$address:$port/" | awk '/Requests\/sec/ {print $2}'
}

printf '| |'; printf ' %s |' "${engines[@]}"; printf '\n|---|---|---|---|\n'
row '`run --rm`, ms' run_rm
row '`run -d`, ms' run_d
memory 'resident, no container, MiB'
start_some 1 1
memory 'resident, 1 container, MiB'
start_some 2 50
memory 'resident, 50 containers, MiB'
for name in "${engines[@]}"; do
	engine "$name" ps -q | while read -r id; do engine "$name" rm -f "$id" </dev/null; done >/dev/null 2>&1
	for number in $(seq 200); do engine "$name" create --name "l$number" localhost/box:1 true; done >/dev/null 2>>"$work/err"
done
row '`ps -a`, 200 containers, ms' list
ip addr add 10.250.0.1/32 dev lo
port=8000
for name in "${engines[@]}"; do
	port=$((port + 1))
	engine "$name" run -d --name web -p $port:80 localhost/box:1 "$(command -v nginx)" >/dev/null 2>>"$work/err"
done
sleep 2
for address in 10.250.0.1 127.0.0.1; do
	printf '| requests in a second by %s |' "$address"
	port=8000
	for name in "${engines[@]}"; do port=$((port + 1)); printf ' %s |' "$(requests $port $address)"; done
	echo
done
[ ! -s "$work/err" ] || { echo "what went wrong:" >&2; sort "$work/err" | uniq -c | sort -rn | head -n 20 >&2; }
