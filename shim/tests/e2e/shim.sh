#!/bin/bash
# The shim under containerd: every call of the Task service, events, streams, deaths of daemon and
# shim, and that nothing is ever left.
#
#     shim/tests/e2e/shim.sh target/containerd-shim-hull-v2 /usr/sbin/runc
. "$(dirname "$0")/lib.sh"

setup
watch_events "$work/events"
run=(--runtime io.containerd.hull.v2 --snapshotter native)

# Topics of a container's events, in order.
topics() {
    grep -F "\"container_id\":\"$1\"" "$work/events" | grep -o '/tasks/[a-z-]*' | cut -d/ -f3 | xargs
}
status_of() {
    ctr tasks list | awk -v id="$1" '$1 == id {print $3}'
}
is() {
    [ "$(status_of "$1")" = "$2" ]
}
has_topics() {
    [ "$(topics "$1")" = "$2" ]
}
remove() {
    ctr tasks kill --signal KILL "$1"
    eventually "$1 stopped" is "$1" STOPPED
    ctr tasks delete "$1" >/dev/null 2>&1 || true
    ctr containers delete "$1"
}

basics() {
    local status=0
    expect "output" "hello" "$(ctr run --rm "${run[@]}" busy:test one echo hello)"
    eventually "all four events" has_topics one "create start exit delete"
    echo "ok $engine: events in order, the last one too"
    # overlayfs makes it with the capabilities of the shim, which mounted it.
    expect "a device node on an overlay" "1:3" "$(ctr run --rm --runtime io.containerd.hull.v2 \
        --snapshotter overlayfs busy:test node sh -c \
        'busybox mknod /node c 1 3 && busybox stat -c %t:%T /node')"
    ctr run --rm "${run[@]}" busy:test two sh -c 'exit 7' || status=$?
    expect "exit status" 7 "$status"
    expect "standard error" "oops" "$(ctr run --rm "${run[@]}" busy:test two sh -c 'echo oops >&2' \
        2>&1 >/dev/null | grep -v DEPRECATION)"
    expect "input" "in" "$( (sleep 1; echo in) | ctr run --rm "${run[@]}" busy:test two cat)"
    expect "much output" 3000000 "$(ctr run --rm "${run[@]}" busy:test two \
        sh -c 'head -c 3000000 /dev/zero' | wc -c)"
    status=0
    ctr run --rm "${run[@]}" busy:test three /no/such/program >"$work/no.out" 2>&1 || status=$?
    [ "$status" -ne 0 ] || fail "a missing program runs"
    grep -q "no such file or directory" "$work/no.out" || fail "its error: $(cat "$work/no.out")"
    ctr containers delete three >/dev/null 2>&1 || true
    eventually "nothing left after a failed create" nothing_left
    echo "ok $engine: a missing program"
}

names() {
    expect "by path" "path" \
        "$(ctr run --rm --runtime "$work/bin/containerd-shim-hull-v2" --snapshotter native busy:test one \
            echo path)"
    expect "in the place of runc's shim, with its options" "runc" \
        "$(ctr run --rm --runtime io.containerd.runc.v2 --runc-binary "$runtime" \
            --snapshotter native busy:test one echo runc)"
}

tasks() {
    local status=0
    ctr run --detach "${run[@]}" busy:test four sleep 1000
    expect "state" "RUNNING" "$(status_of four)"
    expect "exec" "in" "$(ctr tasks exec --exec-id e1 four echo in)"
    ctr tasks exec --exec-id e2 four sh -c 'exit 9' || status=$?
    expect "exit status of exec" 9 "$status"
    expect "a terminal in exec" "/dev/pts" "$(script --quiet --return --command \
        "ctr --address $socket --namespace $namespace tasks exec --tty --exec-id e3 four tty" \
        /dev/null </dev/null | grep -o /dev/pts)"
    status=0
    ctr tasks exec --exec-id e4 four /no/such/program >/dev/null 2>&1 || status=$?
    [ "$status" -ne 0 ] || fail "a missing program runs in exec"
    expect "processes" 1 "$(ctr tasks ps four | grep -c '^[0-9]')"
    ctr tasks metrics four | grep '^memory.usage_in_bytes\|^memory.usage ' >/dev/null || fail "no metrics"
    echo "ok $engine: metrics"
    if offers pause; then
        ctr tasks pause four
        expect "paused" "PAUSED" "$(status_of four)"
        ctr tasks resume four
        expect "resumed" "RUNNING" "$(status_of four)"
    fi
    status=0
    ctr tasks delete four >/dev/null 2>&1 || status=$?
    [ "$status" -ne 0 ] || fail "a running task was deleted"
    remove four
    expect "a terminal" "/dev/pts/0" "$(script --quiet --return --command \
        "ctr --address $socket --namespace $namespace run --rm --tty ${run[*]} busy:test five tty" \
        /dev/null </dev/null | grep -o /dev/pts/0)"
    eventually "nothing left after tasks" nothing_left
}

attach() {
    local client
    # The first client leaves; another one attaches to the same streams.
    ctr run --detach "${run[@]}" busy:test six \
        sh -c 'while [ ! -e /go ]; do sleep 0.1; done; echo late'
    timeout -s KILL 60 ctr --address "$socket" --namespace "$namespace" tasks attach six \
        >"$work/attached" </dev/null &
    client=$!
    follows() { find "/proc/$(pgrep -P "$client")/fd" -lname '*six-stdout' | grep . >/dev/null; }
    eventually "the second client has the stream open" follows
    ctr tasks exec --exec-id go six touch /go
    wait "$client"
    expect "attach" "late" "$(cat "$work/attached")"
    ctr tasks delete six >/dev/null 2>&1 || true
    ctr containers delete six >/dev/null 2>&1 || true
    eventually "nothing left after attaching" nothing_left
}

out_of_memory() {
    ctr run --detach "${run[@]}" --memory-limit 16777216 busy:test seven \
        sh -c 'x=$(head -c 100000000 /dev/zero | tr "\0" x)' >/dev/null
    eventually "stopped" is seven STOPPED
    ctr tasks delete seven >/dev/null 2>&1 || true
    ctr containers delete seven
    eventually "OOM told" has_topics seven "create start oom exit delete"
    echo "ok $engine: OOM is told before the exit"
}

many() {
    seq 100 | xargs -P 8 -I {} timeout 60 ctr --address "$socket" --namespace "$namespace" \
        run --detach --null-io "${run[@]}" busy:test many{} sleep 1000 ||
        fail "not all of a hundred run"
    expect "a hundred at once" 100 "$(ctr tasks list | grep -c RUNNING)"
    ctr tasks list --quiet | xargs -P 8 -I {} timeout 60 ctr --address "$socket" \
        --namespace "$namespace" tasks kill --signal KILL {}
    none_run() { ! ctr tasks list | grep RUNNING >/dev/null; }
    eventually "all stopped" none_run
    ctr tasks list --quiet | xargs -P 8 -I {} sh -c "
        ctr -a $socket -n $namespace tasks delete {} >/dev/null 2>&1
        ctr -a $socket -n $namespace containers delete {}"
    eventually "nothing left of a hundred" nothing_left
    # One by one: containerd may tell of a deletion once more.
    deletes() { grep '/tasks/delete' "$work/events" | grep -o '"container_id":"many[0-9]*"'; }
    all_deletes() { [ "$(deletes | sort -u | wc -l)" -eq 100 ]; }
    eventually "a delete event of each" all_deletes
    echo "ok $engine: a hundred delete events"
}

daemon_restarts() {
    ctr run --detach "${run[@]}" busy:test eight sleep 1000
    ctr run --detach "${run[@]}" busy:test nine sh -c 'sleep 2; exit 5' >/dev/null
    stop_daemon TERM
    sleep 3
    start_daemon
    watch_events "$work/events.2"
    expect "found again" "RUNNING" "$(status_of eight)"
    eventually "what ended meanwhile is known" is nine STOPPED
    expect "exec after a restart" "still" "$(ctr tasks exec --exec-id e eight echo still)"
    expect "its status was kept" "exit code 5" \
        "$(ctr tasks delete nine 2>&1 | grep -o 'exit code [0-9]*')"
    ctr containers delete nine
    remove eight
    eventually "nothing left after a restart" nothing_left
}

shim_dies() {
    ctr run --detach "${run[@]}" busy:test ten sleep 1000
    shims | xargs kill -9
    killed() { grep -q '/tasks/exit.*"container_id":"ten".*"exit_status":137' "$work/events.2"; }
    eventually "the exit is told" killed
    ctr tasks delete --force ten >/dev/null 2>&1 || true
    ctr containers delete ten
    eventually "nothing left of a killed shim" nothing_left
    echo "ok $engine: a killed shim is cleaned up"
}

daemon_dies() {
    local number
    for number in $(seq 50); do
        ctr run --detach --null-io "${run[@]}" busy:test "x$number" sleep 1000 \
            >/dev/null 2>&1 &
        [ "$number" -ne 25 ] || sleep 1
    done
    stop_daemon KILL
    wait $(jobs -p | grep -vxF "$(printf '%s\n' "${started[@]}")") 2>/dev/null || true
    start_daemon
    # A create may still be under way in its shim: its task can be removed only afterwards, and only
    # as long as its container is known.
    cleared() {
        local task
        for task in $(ctr tasks list --quiet); do
            ctr tasks kill --signal KILL "$task" || true
            ctr tasks delete --force "$task" || true
        done
        [ -z "$(ctr tasks list --quiet)" ] || return 1
        for task in $(ctr containers list --quiet); do ctr containers delete "$task"; done
        nothing_left
    }
    # A shim that was started and got no create ends by itself after some minutes (serve/idle.rs).
    PATIENCE=300 eventually "nothing left of creates cut short" cleared
    echo "ok $engine: a daemon killed amid fifty creates"
}

for part in ${PARTS:-basics names tasks attach out_of_memory many daemon_restarts shim_dies daemon_dies}; do
    "$part" || fail "$part"
done
expect "left" "" "$(leftovers)"
