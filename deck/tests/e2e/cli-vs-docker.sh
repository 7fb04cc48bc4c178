#!/bin/bash
# deck's command line beside Docker's, against the same Docker engine: output, errors and exit codes
# have to be the same. The engine is a daemon of its own in a network namespace of its own.
#
#     deck/tests/e2e/cli-vs-docker.sh target/debug/deck
set -euo pipefail

deck=$(realpath "${1:?usage: $0 DECK}")
client=$(command -v docker)
# Short: a unix socket's path has 108 bytes.
work=$(mktemp -d /tmp/deck-cli.XXXXXX)
begun=$(date +%s)
socket=unix://$work/d.sock
daemon=

fail() {
    echo "FAIL: $*" >&2
    tail -n 20 "$work/dockerd.log" >&2 || true
    exit 1
}

cleanup() {
    local status=$?
    trap - EXIT
    if [ -S "$work/d.sock" ]; then
        left=$(docker ps --all --quiet || true)
        # shellcheck disable=SC2086 # a list of ids
        [ -z "$left" ] || docker rm --force --volumes $left >/dev/null 2>&1 || true
    fi
    if [ -n "$daemon" ]; then
        kill "$daemon" 2>/dev/null || true
        wait "$daemon" 2>/dev/null || true
    fi
    awk -v dir="$work" 'index($5, dir) == 1 {print $5}' /proc/self/mountinfo | sort -r |
        while read -r point; do umount -l "$point" || true; done
    rm -rf --one-file-system "$work"
    exit "$status"
}
trap cleanup EXIT

docker() { "$client" --host "$socket" --config "$work/client" "$@"; }
deck() { "$deck" --host "$socket" --config "$work/client" "$@"; }

mkdir -p "$work"/client "$work"/rootfs/{bin,dev,etc,proc,root,sys,tmp}
echo "{}" >"$work/daemon.json"
cp /bin/busybox "$work/rootfs/bin/"
/bin/busybox --list | grep -vx busybox | while read -r applet; do
    ln -sf busybox "$work/rootfs/bin/$applet"
done
printf 'root:x:0:0:root:/root:/bin/sh\nsailor:x:1000:1000::/tmp:/bin/sh\n' \
    >"$work/rootfs/etc/passwd"
tar -C "$work/rootfs" -cf "$work/rootfs.tar" .

unshare --net bash -c 'ip link set lo up && exec "$@"' -- dockerd --host "$socket" \
    --data-root "$work/data" --exec-root "$work/exec" --pidfile "$work/d.pid" \
    --bip 10.99.0.1/24 --storage-driver vfs --config-file "$work/daemon.json" \
    --exec-opt native.cgroupdriver=cgroupfs --log-level warn >"$work/dockerd.log" 2>&1 &
daemon=$!
for _ in $(seq 200); do
    docker version >/dev/null 2>&1 && break
    sleep 0.1
done
docker version >/dev/null || fail "dockerd does not answer"

# Clients before 25 have other words for many errors: of theirs only the status is compared.
major=$(docker version --format '{{.Client.Version}}' | cut -d. -f1)
echo "== beside $("$client" --version)"

# What may differ: Docker names itself before its errors and adds hints on lines of their own; until
# 28 it says "You" cannot attach. deck's errors about templates name the field, not its column.
# Ages and figures that move are asked for with formats that leave them out.
docker_errors() {
    # A client logs that the engine ended a copy before its end, or doesn't: who is first.
    sed -e '/^time=.*closed pipe/d' -e 's/^docker: //' -e '/^$/d' -e '/^Run .docker/d' -e '/^See .docker/d' \
        -e '/^Error: failed to /d' -e '/^exit status 1$/d' -e 's/^You cannot attach/cannot attach/' \
        -e 's/template: :1:[0-9]*:/template: :1:/' "$work/err1"
}
deck_errors() { sed -e 's/^deck: //' -e '/^$/d' "$work/err2"; }

# Those clients also print [::]:80 as :::80, which makes columns narrower.
readable() {
    if [ "$major" -ge 25 ]; then
        cat "$1"
    else
        sed 's/ :::\([0-9]\)/ [::]:\1/g; s/^:::/[::]:/' "$1" | tr -s ' '
    fi
}

# same ARGUMENTS: both do it, nothing may differ.
same() { beside cat "$@"; }
# alike ARGUMENTS: nothing but the order of lines, where the engine's own order changes from one
# request to the next: names of an image, images of the same second, changes of files.
alike() { beside sort "$@"; }

# beside FILTER ARGUMENTS
beside() {
    local one=0 two=0 filter=$1
    shift
    docker "$@" >"$work/out1" 2>"$work/err1" </dev/null || one=$?
    deck "$@" >"$work/out2" 2>"$work/err2" </dev/null || two=$?
    [ "$one" = "$two" ] || fail "$*: status $one, deck's $two: $(cat "$work/err2")"
    diff <(readable "$work/out1" | "$filter") <(readable "$work/out2" | "$filter") ||
        fail "$*: output"
    if [ "$major" -ge 25 ]; then
        diff <(docker_errors) <(deck_errors) || fail "$*: errors"
    elif [ -s "$work/err1" ]; then
        [ -s "$work/err2" ] || fail "$*: no errors, Docker has: $(cat "$work/err1")"
    fi
    echo "same: $*"
}

# gives WANTED ARGUMENTS: deck's output.
gives() {
    local want=$1 got
    shift
    got=$(deck "$@" </dev/null) || fail "$*: status $?"
    [ "$got" = "$want" ] || fail "$*: wanted '$want', got '$got'"
    echo "ok: $*"
}

# ends STATUS ARGUMENTS: deck's exit code.
ends() {
    local want=$1 status=0
    shift
    deck "$@" >/dev/null 2>&1 </dev/null || status=$?
    [ "$status" = "$want" ] || fail "$*: wanted status $want, got $status"
    echo "ok: $* ends with $want"
}

run=(run --rm --network none busy:test)

echo "== images"
deck import --change 'ENV PATH=/bin' --change 'LABEL a=b' "$work/rootfs.tar" busy:test >/dev/null
same image inspect busy:test
deck tag busy:test other/name:2
id='{{.ID}} {{.Repository}}:{{.Tag}} {{.Size}}'
alike images --format "$id"
alike images --quiet --no-trunc
alike images --digests --format "table {{.Repository}}\t{{.Tag}}\t{{.Digest}}"
# Older clients read this into the type of a container's.
[ "$major" -lt 28 ] || same inspect --format '{{json .Config}} {{.Config.Cmd}}' busy:test
same inspect --format '{{.Config.Env}} {{.Config.Image}} {{.Os}}' busy:test
same history --human=false --no-trunc busy:test
same rmi nosuch
same pull 127.0.0.1:1/nosuch
same image prune --force
deck save busy:test | tar t | grep manifest.json >/dev/null || fail "save"
deck save --output "$work/saved.tar" other/name:2
gives "Untagged: other/name:2" rmi other/name:2
gives "Loaded image: other/name:2" load --input "$work/saved.tar"

echo "== run"
gives hello "${run[@]}" echo hello
ends 7 "${run[@]}" sh -c 'exit 7'
same "${run[@]}" sh -c 'echo out; echo err >&2; exit 3'
same "${run[@]}" nosuch
same "${run[@]}" /etc/passwd
same run --rm 127.0.0.1:1/nosuch
ends 125 run --bogus busy:test
ends 125 run --gpus all busy:test
ends 125 run --rm --restart always busy:test
[ "$(echo fed | deck run -i --rm --network none busy:test cat)" = fed ] || fail "standard input"
# script(1) types an end of input, which the terminal may echo.
got=$(script -qec "$deck --host $socket run --rm -it --network none busy:test tty" /dev/null </dev/null)
[[ $got == */dev/pts/0* ]] || fail "a terminal: $got"
gives "1000 /tmp ship b=c" run --rm --network none -u sailor -w /tmp -h ship -e b=c busy:test \
    sh -c 'echo $(id -u) $PWD $(hostname) b=$b'
gives "ro /data" run --rm --network none -v "$work/rootfs/etc:/data:ro" busy:test \
    sh -c 'awk "\$2 == \"/data\" {print substr(\$4, 1, 2), \$2}" /proc/mounts'
deck run --cidfile "$work/cid" --rm --network none busy:test true
[ "$(wc -c <"$work/cid")" = 64 ] || fail "cidfile"
ends 125 run --cidfile "$work/cid" --rm busy:test true

echo "== containers"
deck run --detach --name one --publish 81:80 --publish 127.0.0.1::90/udp --memory 64m \
    --label x=y --hostname ship --health-cmd true --tmpfs /scratch --volume data:/data \
    --ulimit nofile=100:200 busy:test sh -c 'echo started; echo oops >&2; exec sleep 1000' >/dev/null
docker run --detach --name two --publish 82:80 --publish 127.0.0.1::90/udp --memory 64m \
    --label x=y --hostname ship --health-cmd true --tmpfs /scratch --volume data:/data \
    --ulimit nofile=100:200 busy:test sh -c 'echo started; echo oops >&2; exec sleep 1000' >/dev/null
# What deck asks for is what Docker asks for.
for part in .Config .HostConfig.Memory .HostConfig.Tmpfs .HostConfig.Binds .HostConfig.Ulimits \
    .HostConfig.RestartPolicy .HostConfig.NetworkMode .HostConfig.LogConfig; do
    [ "$(docker inspect --format "{{json $part}}" one)" = \
        "$(docker inspect --format "{{json $part}}" two)" ] || fail "create: $part differs"
done
list='{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.Ports}}\t{{.Names}}\t{{.Labels}}\t{{.State}}'
same ps --format "table $list"
same ps --all --no-trunc --format "$list"
same ps --filter label=x=y --quiet
ends 125 ps --filter bad
same ps --all --quiet --last 1
same container ls --all --format '{{.Names}} {{.Mounts}} {{.Networks}} {{.LocalVolumes}}'
same inspect one two
same inspect nosuch
same inspect one nosuch
same inspect --type network one
same inspect --format '{{.State.Pid}} {{.Name}} {{range .Mounts}}{{.Destination}} {{end}}' one two
same inspect --format '{{(index (index .NetworkSettings.Ports "80/tcp") 0).HostPort}}' one
same inspect --format '{{if .State.Running}}{{upper .State.Status}}{{else}}-{{end}}' one
same inspect --format '{{.Config.Env}} {{.Config.Labels}} {{join .Config.Cmd "|"}}' one
same inspect --format '{{.Config.Entrypoint}} {{.Config.OnBuild}} {{.HostConfig.CapAdd}}' one
same inspect --format '{{if .State.Health}}{{.State.Health.Status}}{{end}} {{.HostConfig.Links}}' one
same inspect --format '{{.State.Health.Nope}}' one
same port one
same port one 80
same port one 99
same top one -o pid,comm
same logs one
same logs --tail 1 --timestamps one
same logs nosuch
same exec one sh -c 'echo out; echo err >&2; exit 4'
same exec one nosuch
same exec --user sailor --workdir /tmp --env A=B one sh -c 'echo $A $PWD $(id -u)'
same exec nosuch true
[ "$(echo fed | deck exec -i one cat)" = fed ] || fail "input to exec"
gives ship enter one hostname
alike diff one
same stats --no-stream --format '{{.Name}} {{.PIDs}}' one two
same pause nosuch
gives one pause one
same attach one
gives one unpause one
gives one update --memory 96m --memory-swap 96m one
same update one
deck rename one three
gives three restart --time 0 three
gives three kill --signal KILL three
gives 137 wait three
gives three start three
gives three stop --time 0 three
same attach three
same start nosuch
same rename nosuch other
same rm nosuch
same rm --force nosuch
same rm two
same kill nosuch nosuch2

echo "== copies"
echo text >"$work/file"
mkdir -p "$work/tree/sub"
echo deep >"$work/tree/sub/file"
deck cp "$work/file" two:/tmp/
deck cp "$work/tree" two:/tmp/new
gives text exec two cat /tmp/file
gives deep exec two cat /tmp/new/sub/file
deck cp two:/tmp/new "$work/back"
deck cp two:/tmp/file - | tar t | grep -x file >/dev/null || fail "cp to a stream"
tar -C "$work/tree" -c . | deck cp - two:/root
[ "$(cat "$work/back/sub/file")" = deep ] || fail "cp from"
gives deep exec two cat /root/sub/file
same cp two:/nosuch "$work/x"
same cp nosuch:/etc "$work/x"
same cp "$work/file" two:/nosuch/
deck export two | tar t | grep etc/passwd >/dev/null || fail "export"
deck commit --message test two made:1 | grep '^sha256:' >/dev/null || fail "commit"

echo "== volumes, networks, the whole"
gives extra volume create --label a=b extra
same volume ls
same volume ls --quiet --filter label=a=b
same volume inspect extra
same volume inspect nosuch
gives extra volume rm extra
same volume rm nosuch
deck network create --subnet 10.7.0.0/24 --gateway 10.7.0.9 --label a=b net >/dev/null
same network ls
# IPv4 is among them since 28.
[ "$major" -lt 28 ] || same network ls --no-trunc --format '{{json .}}'
same network inspect --format '{{json .IPAM}} {{.Labels}}' net
deck network connect --alias friend net two
gives 10.7.0.1 inspect --format '{{.NetworkSettings.Networks.net.IPAddress}}' two
deck network disconnect net two
gives net network rm net
same network rm nosuch
same system df --format '{{.Type}} {{.TotalCount}} {{.Active}}'
same version --format '{{.Server.Version}}'
same info --format '{{.Driver}} {{.ServerVersion}} {{json .Plugins.Volume}}'
# Until the end of this second, the same one for both.
span=(--since "$begun" --until "$(($(date +%s) + 1))")
same events "${span[@]}" --filter type=network
same events "${span[@]}" --filter event=die --format '{{.Action}} {{.Actor.ID}}'

echo "== the user's pipe closes"
deck inspect two | head -c 1 >/dev/null

echo "== detach keys"
docker run --detach --interactive --tty --name shell --network none busy:test sh >/dev/null
# Again and again: what is typed before the terminal is raw goes elsewhere.
# Nobody reads the last of it.
(trap '' PIPE; while sleep 0.2; do printf '\x10\x11' || break; done) 2>/dev/null |
    script -qec "$deck --host $socket attach shell" /dev/null >/dev/null || fail "detach"
gives running inspect --format '{{.State.Status}}' shell

echo "== the last"
# shellcheck disable=SC2046 # a list of ids
deck kill $(deck ps -q) >/dev/null
# shellcheck disable=SC2046 # a list of ids
deck rm --volumes $(deck ps -a -q) >/dev/null
gives "" ps -a -q
echo "cli-vs-docker: all as Docker's"
