#!/bin/bash
# Podman with a runtime: image, run, exec, logs, stop, rm. Storage of its own, no network.
#
#     runtime/tests/e2e/podman.sh /usr/sbin/runc
. "$(dirname "$0")/lib.sh"

podman() {
    command podman --root "$work/root" --runroot "$work/run" --tmpdir "$work/tmp" \
        --storage-driver vfs --cgroup-manager cgroupfs --events-backend none \
        --runtime "$work/bin/${runtime##*/}" "$@"
}
teardown() {
    podman rm --all --force --time 0 >/dev/null 2>&1
}

# The runtime's state in a directory of this test. Not by --runtime-flag: the `podman container
# cleanup` at a container's end is not given it, and would delete nothing.
mkdir "$work/bin"
printf '#!/bin/sh\nexec "%s" --root "%s" "$@"\n' "$runtime" "$work/state" >"$work/bin/${runtime##*/}"
chmod +x "$work/bin/${runtime##*/}"

make_rootfs_tar
podman import --quiet "$work/rootfs.tar" busy:test >/dev/null
# The defaults would raise limits, which not every machine lets root do.
run=(--network none --log-driver k8s-file --ulimit nofile=1024:1024 --ulimit nproc=1024:1024)

expect "output" "hello" "$(podman run --rm "${run[@]}" busy:test echo hello)"
status=0
podman run --rm "${run[@]}" busy:test sh -c 'exit 7' || status=$?
expect "exit status" 7 "$status"
status=0
podman run --rm "${run[@]}" busy:test /no/such/program 2>/dev/null || status=$?
expect "a missing program" 127 "$status"
status=0
podman run --rm "${run[@]}" busy:test /etc/passwd 2>/dev/null || status=$?
expect "a file that is no program" 126 "$status"

podman run --detach --name one "${run[@]}" --memory 64m --pids-limit 32 --hostname ship \
    busy:test sh -c 'echo started; exec sleep 1000' >/dev/null
expect "state" "running" "$(podman inspect --format '{{.State.Status}}' one)"
expect "exec" "ship" "$(podman exec one hostname)"
status=0
podman exec one sh -c 'exit 9' || status=$?
expect "exit status of exec" 9 "$status"
expect "exec as a user" "1000" "$(podman exec --user sailor one id -u)"
expect "input to exec" "fed" "$(echo fed | podman exec --interactive one cat)"
expect "logs" "started" "$(podman logs one)"
expect "a terminal" "/dev/pts/0" \
    "$(podman run --rm --tty "${run[@]}" busy:test tty </dev/null | tr -d '\r')"
podman kill --signal KILL one >/dev/null
expect "exit status of a kill" 137 "$(podman wait one)"
podman start one >/dev/null
podman stop --time 0 one >/dev/null
expect "stopped" "exited" "$(podman inspect --format '{{.State.Status}}' one)"
podman rm one >/dev/null
expect "containers left" "" "$(podman ps --all --quiet)"
