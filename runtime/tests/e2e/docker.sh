#!/bin/bash
# Docker with a runtime: image, run, exec, logs, stop, rm. A daemon of its own, in a network
# namespace of its own, so that the host's firewall and bridges stay as they are.
#
#     runtime/tests/e2e/docker.sh /usr/sbin/runc
. "$(dirname "$0")/lib.sh"

# Debian's client; another one may stand first in PATH.
client=/usr/bin/docker
docker() {
    "$client" --host "unix://$work/d.sock" --config "$work/client" "$@"
}
teardown() {
    local left
    [ -S "$work/d.sock" ] || return 0
    left=$(docker ps --all --quiet)
    # shellcheck disable=SC2086 # a list of ids
    [ -z "$left" ] || docker rm --force $left >/dev/null 2>&1
}

mkdir "$work/client"
# Not the machine's own configuration.
echo "{}" >"$work/daemon.json"
make_rootfs_tar
# Docker starts a containerd of its own below --exec-root.
unshare --net dockerd --host "unix://$work/d.sock" --data-root "$work/data" \
    --exec-root "$work/exec" --pidfile "$work/d.pid" --bridge none --iptables=false \
    --ip6tables=false --ip-masq=false --storage-driver vfs --config-file "$work/daemon.json" \
    --exec-opt native.cgroupdriver=cgroupfs --add-runtime "tested=$runtime" \
    --default-runtime tested --log-level warn >"$work/dockerd.log" 2>&1 &
started+=($!)
eventually "dockerd answers" docker version
docker import --change 'ENV PATH=/bin' "$work/rootfs.tar" busy:test >/dev/null
run=(--network none)

expect "runtime" "tested" "$(docker info --format '{{.DefaultRuntime}}')"
expect "output" "hello" "$(docker run --rm "${run[@]}" busy:test echo hello)"
status=0
docker run --rm "${run[@]}" busy:test sh -c 'exit 7' || status=$?
expect "exit status" 7 "$status"
status=0
docker run --rm "${run[@]}" busy:test /no/such/program 2>/dev/null || status=$?
expect "a missing program" 127 "$status"
status=0
docker run --rm "${run[@]}" busy:test /etc/passwd 2>/dev/null || status=$?
expect "a file that is no program" 126 "$status"

docker run --detach --name one "${run[@]}" --memory 64m --pids-limit 32 --hostname ship \
    busy:test sh -c 'echo started; exec sleep 1000' >/dev/null
expect "state" "running" "$(docker inspect --format '{{.State.Status}}' one)"
expect "exec" "ship" "$(docker exec one hostname)"
status=0
docker exec one sh -c 'exit 9' || status=$?
expect "exit status of exec" 9 "$status"
expect "exec as a user" "1000" "$(docker exec --user sailor one id -u)"
expect "input to exec" "fed" "$(echo fed | docker exec --interactive one cat)"
eventually "logs" sh -c "$client --host unix://$work/d.sock logs one | grep -q started"
docker top one | grep 'sleep 1000' >/dev/null || fail "top does not show the program"
if offers update; then
    docker update --memory 96m --memory-swap 96m one >/dev/null
fi
if offers pause; then
    docker pause one >/dev/null
    expect "paused" "paused" "$(docker inspect --format '{{.State.Status}}' one)"
    docker unpause one >/dev/null
fi
expect "a terminal" "/dev/pts/0" "$(script --quiet --return --command \
    "$client --host unix://$work/d.sock run --rm --tty --network none busy:test tty" \
    /dev/null </dev/null | tr -d '\r')"
docker kill --signal KILL one >/dev/null
expect "exit status of a kill" 137 "$(docker wait one)"
docker start one >/dev/null
docker stop --time 0 one >/dev/null
expect "stopped" "exited" "$(docker inspect --format '{{.State.Status}}' one)"
docker rm one >/dev/null
expect "containers left" "" "$(docker ps --all --quiet)"
