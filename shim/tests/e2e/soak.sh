#!/bin/bash
# Thousands of containers through one containerd: each is created, started, ends and is deleted.
# Half of them have a shim each, the other half share one that lives through it all. Nothing may be
# left of any, no event may be lost, and the shared shim's memory and descriptors may not grow.
#
#     [CYCLES=10000] shim/tests/e2e/soak.sh target/containerd-shim-hull-v2 target/hull
. "$(dirname "$0")/lib.sh"

cycles=${CYCLES:-10000}
workers=4
# What of the shared shim may grow, in kB: pages it touches for the first time.
slack=128

# On a disk of memory, with overlayfs: quick, and each container has mounts to be undone.
mkdir "$work/root"
mount -t tmpfs soak "$work/root"
snapshotter=overlayfs
setup
watch_events "$work/events"
run=(--runtime io.containerd.hull.v2 --snapshotter "$snapshotter")
shared=(--annotation "io.containerd.runc.v2.group=$namespace")

ctr run --detach --null-io "${run[@]}" "${shared[@]}" busy:test keep sleep 1000000
keeper=$(shims)

field() { awk -v key="$2:" '$1 == key {print $2}' "/proc/$1/smaps_rollup"; }
descriptors() { find "/proc/$1/fd" -mindepth 1 | wc -l; }
threads() { find "/proc/$1/task" -mindepth 1 -maxdepth 1 | wc -l; }
figures() {
    echo "rss $(field "$keeper" Rss) private $(field "$keeper" Private_Dirty)" \
        "fds $(descriptors "$keeper") threads $(threads "$keeper")" \
        "daemon-fds $(descriptors "$daemon") mounts $(grep -c " $work" /proc/self/mountinfo)"
}

# One worker's containers: its number, and how many.
worker() {
    local number group=()
    [ $(($1 % 2)) -eq 1 ] || group=("${shared[@]}")
    for number in $(seq "$2"); do
        ctr run --rm --null-io "${run[@]}" "${group[@]}" busy:test "w$1-$number" true \
            >/dev/null 2>>"$work/worker.log" || echo "w$1-$number" >>"$work/failed"
    done
}
# That many containers, by all workers together.
batch() {
    local pids=() number
    for number in $(seq "$workers"); do
        worker "$1$number" $(($2 / workers)) &
        pids+=($!)
    done
    wait "${pids[@]}"
}
only_the_keeper() {
    [ "$(shims)" = "$keeper" ] && [ "$(leftovers | grep -vc keep)" -eq 1 ]
}
# containerd may tell of a deletion once more, when it hears of the shim's end before it has taken
# the task off its list.
deletes() { grep "/tasks/delete" "$work/events" | grep -o '"container_id":"w[^"]*"'; }
all_deletes() { [ "$(deletes | sort -u | wc -l)" -eq "$1" ]; }

touch "$work/failed"
began=$SECONDS
# So that what is allocated once is there.
batch 1 $((workers * 25))
eventually "the first are gone" only_the_keeper
before=$(figures)
echo "   0: $before"
done=$((workers * 25)) step=0
while [ "$done" -lt "$cycles" ]; do
    step=$((step + 1))
    size=$((cycles - done < 1000 ? cycles - done : 1000))
    batch "$((step + 1))" "$size"
    done=$((done + size / workers * workers))
    [ "$size" -ge "$workers" ] || break
    echo "$done: $(figures), $((SECONDS - began)) s"
done

expect "failed" "" "$(cat "$work/failed")"
eventually "nothing left of $done" only_the_keeper
eventually "a delete event of each of $done" all_deletes "$done"
after=$(figures)
number() { echo "$1" | grep -o " $2 [0-9]*" | cut -d' ' -f3; }
grown() { echo $(($(number " $after" "$1") - $(number " $before" "$1"))); }
[ "$(grown rss)" -le "$slack" ] || fail "the shared shim grew: $before, then $after"
[ "$(grown daemon-fds)" -le "$workers" ] || fail "the daemon's descriptors: $before, then $after"
for what in fds threads mounts; do expect "$what" 0 "$(grown "$what")"; done
ctr tasks kill --signal KILL keep
stopped() { ctr tasks list | grep STOPPED >/dev/null; }
eventually "the last one stopped" stopped
ctr tasks delete keep >/dev/null 2>&1 || true
ctr containers delete keep
eventually "nothing left" nothing_left
echo "delete events: $(deletes | wc -l)"
echo "$done containers in $((SECONDS - began)) s; before: $before; after: $after"
