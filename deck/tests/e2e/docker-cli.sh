#!/bin/bash
# The stock docker command line against `deck serve`, in a network namespace of its own.
# usage: docker-cli.sh DECK HULL SHIM [DOCKER]
. "$(dirname "$0")/lib.sh"
export DOCKER_HOST=unix://$work/s
server=

serve() {
	"$deck" serve -H "$DOCKER_HOST" >>"$work/log" 2>&1 &
	server=$!
	until_true $docker version || { echo "deck serve does not answer"; cat "$work/log"; exit 1; }
}

teardown() {
	$docker ps -aq 2>/dev/null | xargs -r $docker rm -f >/dev/null 2>&1
	[ -z "$server" ] || { kill "$server"; wait "$server"; } 2>/dev/null
}

# status NAME EXPECTED COMMAND...: exit status.
status() {
	local name=$1 expected=$2 got
	shift 2
	# `timeout` runs programs, not functions of the script.
	if declare -F "$1" >/dev/null; then "$@" >/dev/null 2>&1 </dev/null; else
		timeout 60 "$@" >/dev/null 2>&1 </dev/null
	fi
	got=$?
	if [ "$got" = "$expected" ]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		printf 'not ok - %s: exit status %s, expected %s\n' "$name" "$got" "$expected"
	fi
}

image() {
	local root=$work/image
	mkdir -p "$root"/{bin,etc,tmp,data}
	cp "$(command -v busybox)" "$root/bin/busybox"
	for applet in sh ls cat echo sleep true false id env touch mkdir head seq stty tty wc kill; do
		ln -s busybox "$root/bin/$applet"
	done
	echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
	echo 'user:x:1000:1000:u:/tmp:/bin/sh' >>"$root/etc/passwd"
	echo 'root:x:0:' >"$root/etc/group"
	echo seeded >"$root/data/seed"
	# To where the host has a directory.
	ln -s "$work/outside" "$root/leak"
	tar -C "$root" -c . | $docker import - box:1
}

# The server has the capabilities of deck/src/privileges/mod.rs and no others (CAP_SYS_RESOURCE, bit
# 24, where this machine gives it). What it executes has all of root's again, or nothing below works.
capabilities() { awk '/^Cap(Eff|Prm):/ {print $1, $2}' "/proc/$server/status" | paste -sd ' '; }

serve
is 'the server keeps seventeen capabilities' 'CapPrm: 000000008[89]2c16ff CapEff: 000000008[89]2c16ff' capabilities
image >"$work/imported"
is 'the commit is told' '????*|????*' $docker version --format '{{.Server.GitCommit}}|{{(index .Server.Components 0).Details.GitCommit}}'
is import 'sha256:*' cat "$work/imported"
net=(--network none)
is 'run prints' hello $docker run --rm "${net[@]}" box:1 echo hello
status 'run passes the exit status on' 3 $docker run --rm "${net[@]}" box:1 sh -c 'exit 3'
status 'no such command is 127' 127 $docker run --rm "${net[@]}" box:1 nosuchcommand
status 'a directory is 126' 126 $docker run --rm "${net[@]}" box:1 /etc
is 'another platform than the image has' '*is for linux/*' $docker create --pull never --platform linux/riscv64 box:1
status 'the one it has' 0 $docker run --rm --platform linux "${net[@]}" box:1 true
status 'no such image is 125' 125 $docker run --rm --pull never "${net[@]}" nosuch true
is 'streams are told apart' err sh -c "$docker run --rm --network none box:1 sh -c 'echo out; echo err >&2' 2>&1 >/dev/null"
is 'input is passed on' given sh -c "echo given | $docker run -i --rm --network none box:1 cat"
is 'a terminal' '*/dev/*' script -qec "$docker run -it --rm --network none box:1 tty" /dev/null
is 'all output comes' '100000*' $docker run --rm "${net[@]}" box:1 sh -c 'seq 100000 | wc -l'
is 'much output comes whole' 588895 sh -c "$docker run --rm --network none box:1 seq 100000 | wc -c"
is 'removed ones are gone' '' $docker ps -aq

is 'run -d' '????????????*' $docker run -d --name c1 "${net[@]}" box:1 sh -c 'i=0; while :; do echo line $i; i=$((i+1)); sleep 0.2; done'
is 'a name is taken' '*Conflict. The container name "/c1"*' $docker run -d --name c1 "${net[@]}" box:1 true
is ps '*c1*' $docker ps --format '{{.Names}} {{.Status}}'
is 'inspect knows the state' 'running true' $docker inspect -f '{{.State.Status}} {{.State.Running}}' c1
# /proc shows start times by the clocks of who reads it (time_namespaces(7)).
is 'ps does from another time namespace' 'c1 Up*' env -u DOCKER_HOST unshare --time --boottime 86400 \
	"$deck" ps --format '{{.Names}} {{.Status}}'
is 'and harms nothing' running $docker inspect -f '{{.State.Status}}' c1
status 'nsenter works on its pid' 0 sh -c "nsenter -t \$($docker inspect -f '{{.State.Pid}}' c1) -u -i -n -p true"
is exec 'in c1' $docker exec c1 echo in c1
status 'exec passes the exit status on' 4 $docker exec c1 sh -c 'exit 4'
status 'exec: no such command is 127' 127 $docker exec c1 nosuchcommand
is 'anyone may listen at low ports' 0 $docker exec c1 cat /proc/sys/net/ipv4/ip_unprivileged_port_start
is 'exec as another user' 1000 $docker exec -u user c1 id -u
is 'exec with a variable and a directory' '*/tmp*1' $docker exec -e A=1 -w /tmp c1 sh -c 'pwd; echo $A'
is 'exec with a terminal' '*/dev/*' script -qec "$docker exec -it c1 tty" /dev/null
is logs '*line 0*line 1*' $docker logs c1
is 'logs --tail' 'line *' $docker logs --tail 1 c1
is top '*sh -c*' $docker top c1
is stats 'c1 *' $docker stats --no-stream --format '{{.Name}} {{.PIDs}}' c1
is 'cp from' 'root:x:0:0*' sh -c "$docker cp c1:/etc/passwd - | tar xO"
echo copied >"$work/file"
is 'cp of a file that is said to be a directory' '*not a directory*' $docker cp c1:/etc/passwd/ -
status 'cp to' 0 $docker cp "$work/file" c1:/tmp/file
is 'cp arrived' copied $docker exec c1 cat /tmp/file
mkdir -p "$work/tree/file"
is 'cp keeps a file from a directory' '*cannot overwrite*' $docker cp "$work/tree/." c1:/tmp/
is diff '*/tmp/file*' $docker diff c1
is commit 'sha256:*' $docker commit c1 made:1
is 'commit --change knows variables' '*/more:/*' sh -c "$docker commit --change 'ENV PATH=/more:/bin' --change 'ENV SEEN=\$PATH:/' c1 made:2 >/dev/null && $docker inspect -f '{{.Config.Env}}' made:2"
is 'save takes all tags' '2' sh -c "$docker save made | tar xO manifest.json | grep -o 'made:[12]' | sort -u | wc -l"
is 'the commit runs' copied $docker run --rm "${net[@]}" made:1 cat /tmp/file
$docker create --name ends -w /tmp/../tmp/ --network none box:1 true >/dev/null
status 'commit of one that ends' 0 sh -c \
	"for turn in 1 2 3 4 5; do $docker start ends && $docker commit ends || exit 1; done"
is 'a working directory is told as it is meant' /tmp $docker inspect -f '{{.Config.WorkingDir}}' ends
$docker rm -f ends >/dev/null
is export '*tmp/file*' sh -c "$docker export c1 | tar t"
is pause c1 $docker pause c1
is paused '*Paused*' $docker ps --format '{{.Status}}'
is unpause c1 $docker unpause c1
status update 0 $docker update --memory 100m --memory-swap 200m c1
is 'the update is there' 104857600 $docker inspect -f '{{.HostConfig.Memory}}' c1
status rename 0 $docker rename c1 c2
is restart c2 $docker restart -t 1 c2
is stop c2 $docker stop -t 1 c2
is stopped 'exited 137' $docker inspect -f '{{.State.Status}} {{.State.ExitCode}}' c2
is 'cp from a stopped one' copied sh -c "$docker cp c2:/tmp/file - | tar xO"
is start c2 $docker start c2
is 'rm refuses' '*container is running*' $docker rm c2
is 'rm -f' c2 $docker rm -f c2

is 'start -a' attached sh -c "$docker create --name a1 --network none box:1 echo attached >/dev/null; $docker start -a a1"
is wait 9 sh -c "$docker run -d --name w1 --network none box:1 sh -c 'sleep 1; exit 9' >/dev/null; $docker wait w1"
is 'wait for one that removes itself' 3 sh -c "$docker wait \$($docker run -d --rm --network none box:1 sh -c 'sleep 1; exit 3')"
is 'logs -f ends' '*one*two*' sh -c "$docker run -d --name f1 --network none box:1 sh -c 'echo one; sleep 1; echo two' >/dev/null; $docker logs -f f1"
is prune '*Deleted Containers*' $docker container prune -f

is 'volume create' v1 $docker volume create v1
is 'a new volume is filled' seeded $docker run --rm -v v1:/data "${net[@]}" box:1 cat /data/seed
is 'volumes keep' kept sh -c "$docker run --rm --network none -v v1:/data box:1 sh -c 'echo kept >/data/k'; $docker run --rm --network none -v v1:/data box:1 cat /data/k"
is 'read-only' '*Read-only*' $docker run --rm "${net[@]}" -v v1:/data:ro box:1 touch /data/x
is 'bind' copied $docker run --rm "${net[@]}" -v "$work/file:/f" box:1 cat /f
is 'volumes-from' kept sh -c "$docker create --name vf --network none -v v1:/data box:1 true >/dev/null; $docker run --rm --network none --volumes-from vf box:1 cat /data/k"
is 'in use' '*volume is in use*' $docker volume rm v1
$docker rm -f vf >/dev/null
is 'volume rm' v1 $docker volume rm v1
$docker create --name new --network none -v /later box:1 cat /later/file >/dev/null
status 'cp to a volume before the start' 0 $docker cp "$work/file" new:/later/
is 'it is there' copied $docker start -a new
$docker rm -v new >/dev/null
$docker create --name idle --network none box:1 true >/dev/null
$docker start -a idle
is 'mount points are no change' '' $docker diff idle
$docker rm idle >/dev/null
is 'anonymous volumes go' '' sh -c "$docker run --rm --network none -v /anon box:1 true; $docker volume ls -q"
is tmpfs 'tmpfs*' $docker run --rm "${net[@]}" --tmpfs /t box:1 sh -c 'head -n 100 /proc/mounts | while read a b c; do [ $b = /t ] && echo $c; done'

# Links of an image lead to its own files (CVE-2018-15664, CVE-2022-23648).
mkdir "$work/outside"
echo secret >"$work/outside/secret"
inside() { $docker run --rm "${net[@]}" "$@"; }
status 'a volume through a link gets nothing of the host' 1 inside -v through:/leak box:1 cat /leak/secret
is 'nor is it filled with that' '' inside -v through:/v box:1 ls /v
$docker volume rm through >/dev/null
is 'a working directory through a link is inside' "$work/outside/made" inside -w /leak/made box:1 sh -c pwd
is 'cp through a link reads inside' '*Could not find the file /leak/secret*' sh -c \
	"$docker create --name link --network none box:1 true >/dev/null; $docker cp -L link:/leak/secret -"
$docker cp "$work/file" link:/leak/ >/dev/null 2>&1
$docker rm link >/dev/null
is 'nothing of it is outside' secret ls "$work/outside"

# A request without end is refused, not kept.
long_body() {
	perl -MIO::Socket::UNIX -e '
		$SIG{PIPE} = "IGNORE";
		my $server = IO::Socket::UNIX->new(Peer => shift) or die $!;
		print $server "POST /containers/create HTTP/1.1\r\nHost: deck\r\n",
			"Content-Type: application/json\r\nContent-Length: 1073741824\r\n\r\n";
		for (1 .. 1024) { print $server " " x 1048576 or last }
		print scalar <$server>' "$work/s"
}
is 'a body without end is refused' '*400 Bad Request*' long_body
is 'and the server goes on' 1.* $docker version --format '{{.Server.APIVersion}}'

says() { [ "$($docker inspect -f "$3" "$2")" = "$1" ]; }
$docker run -d --name r1 --restart on-failure:3 --network none box:1 false >/dev/null
status 'restart policy' 0 until_true says '3 exited' r1 '{{.RestartCount}} {{.State.Status}}'
$docker run -d --name r2 --restart always --network none box:1 false >/dev/null
status 'it waits for its restart' 0 until_true says restarting r2 '{{.State.Status}}'
is 'rm refuses one that restarts' '*: stop the container before removing*' $docker rm r2
is 'rm -f of it' r2 $docker rm -f r2
$docker run -d --name h1 --health-cmd true --health-interval 1s --network none box:1 sleep 100 >/dev/null
status health 0 until_true says healthy h1 '{{.State.Health.Status}}'
is events '*create*start*die*' sh -c "$docker events --since 1h --until 0s --filter container=r1 --format '{{.Action}}'"

# What no command of Docker's shows as it is. api METHOD PATH [BODY]: the answer with its head.
api() {
	perl -MIO::Socket::UNIX -e '
		my ($socket, $method, $path, $body) = @ARGV;
		my $engine = IO::Socket::UNIX->new(Peer => $socket) or die $!;
		printf $engine "%s %s HTTP/1.0\r\nContent-Length: %d\r\n\r\n%s",
			$method, $path, length $body, $body;
		print <$engine>;' "$work/s" "$1" "$2" "${3:-}"
}
is 'a bad archive is told where clients look' '*200 OK*"errorDetail":{"message":*' \
	api POST /images/load 'no archive'
is 'a port that is none' '*invalid*' $docker create -p 99999:80 box:1 true
is 'a link to nothing is told at once' '*could not get container for nosuch*' $docker create --link nosuch:x box:1 true
is 'a health check has its times' '*cannot be less than 1ms*' \
	$docker create --health-cmd true --health-interval 10us box:1 true
is 'JSON is said to be that' '*400 Bad Request*unsupported Content-Type*' \
	api POST /volumes/create '{}'
is 'a link alone is not removed' '*501 Not Implemented*not removed alone*' \
	api DELETE '/containers/h1/alias?link=1'

# Whatever is killed, ps tells the truth.
$docker run -d --name k1 --network none box:1 sleep 1000 >/dev/null
kill -9 "$server"; wait "$server" 2>/dev/null
serve
is 'it outlives the server' 'running' $docker inspect -f '{{.State.Status}}' k1
is 'exec after that' back $docker exec k1 echo back
kill -9 "$($docker inspect -f '{{.State.Pid}}' k1)"
is 'a killed process is told' 137 $docker wait k1
$docker start k1 >/dev/null
pgrep -f -- "-id $($docker inspect -f '{{.Id}}' k1)" | xargs -r kill -9
kill -9 "$($docker inspect -f '{{.State.Pid}}' k1)" 2>/dev/null
is 'a killed shim is told' 255 $docker wait k1
is 'and its container is over' exited $docker inspect -f '{{.State.Status}}' k1

# A server killed while the runtime creates: the creation goes on, and is removed with its container.
cat >"$work/slow" <<SLOW
#!/bin/sh
case " \$* " in *" create "*) touch "$work/creating"; sleep 2 ;; esac
exec "$hull" "\$@"
SLOW
chmod +x "$work/slow"
kill -9 "$server"; wait "$server" 2>/dev/null
DECK_RUNTIME=$work/slow serve
timeout 60 $docker run -d --name half --network none box:1 sleep 1000 >/dev/null 2>&1 &
run=$!
until_true test -e "$work/creating"
kill -9 "$server"; wait "$server" "$run" 2>/dev/null
serve
half=$($docker inspect -f '{{.Id}}' half)
is 'a half-made container is removed' half $docker rm -f half
half_shim() { pgrep -f -- "-id $half"; }
no_half_shim() { ! half_shim; }
until_true no_half_shim
is 'with its shim' '' half_shim
# Groups of others come and go meanwhile.
is 'and what the runtime made of it' '' sh -c \
	"find $work/r /sys/fs/cgroup -maxdepth 4 -name '$half' 2>/dev/null"

# Logs are rotated by the shim; several clients see the same output.
$docker run --name chatty --log-opt max-size=1k --log-opt max-file=2 --network none box:1 seq 1000 >/dev/null
chatty=$($docker inspect -f '{{.LogPath}}' chatty)
is 'the log is rotated' "$chatty $chatty.1" sh -c "echo $chatty*"
is 'and short' yes sh -c "[ \$(wc -c <$chatty) -le 1024 ] && echo yes"
is 'its end is told' 1000 $docker logs --tail 1 chatty
$docker run -d --name told --network none box:1 sh -c \
	'while [ ! -e /tmp/go ]; do echo tick; sleep 0.1; done; echo both' >/dev/null
for client in 1 2; do
	timeout 60 $docker attach --no-stdin told >"$work/client.$client" &
	clients[client]=$!
done
for client in 1 2; do until_true test -s "$work/client.$client"; done
$docker exec told touch /tmp/go
wait "${clients[@]}"
is 'two clients see it' $'both\nboth' tail -qn 1 "$work/client.1" "$work/client.2"

# A socket that is passed in, as systemd does it.
perl -MIO::Socket::UNIX -MPOSIX -e '
	$^F = 10;
	my $socket = IO::Socket::UNIX->new(Local => shift, Listen => 5) or die $!;
	POSIX::dup2(fileno($socket), 3);
	@ENV{"LISTEN_PID", "LISTEN_FDS"} = ($$, 1);
	exec @ARGV;' "$work/passed" "$deck" serve -H fd:// 2>>"$work/log" &
passed_on=$!
until_true $docker -H "unix://$work/passed" version
is 'a socket that is passed in' '*told*' $docker -H "unix://$work/passed" ps -a
kill "$passed_on"
wait "$passed_on" 2>/dev/null

# As after a reboot: no process is left, and nothing below the exec root.
$docker run -d --name stays --restart always --network none box:1 sleep 1000 >/dev/null
$docker run -d --name stopped --restart unless-stopped --network none box:1 sleep 1000 >/dev/null
$docker stop -t 0 stopped >/dev/null
mapfile -t running < <($docker ps -q --no-trunc)
mapfile -t inits < <($docker inspect -f '{{.State.Pid}}' "${running[@]}")
kill -9 "$server"; wait "$server" 2>/dev/null
pgrep -f -- "-address $work/r" | xargs -r kill -9
kill -9 "${inits[@]}"
awk -v dir="$work/r" 'index($5, dir) == 1 {print $5}' /proc/self/mountinfo | xargs -r -n 1 umount -l
gone() { ! kill -0 "${inits[@]}"; }
until_true gone
for id in "${running[@]}"; do
	find /sys/fs/cgroup -depth -type d -path "*/$id*" -exec rmdir {} +
done
rm -rf --one-file-system "$work/r"
serve
runs() { [ "$($docker inspect -f '{{.State.Running}}' "$1")" = true ]; }
until_true runs stays
is 'after a reboot it runs again' true $docker inspect -f '{{.State.Running}}' stays
is 'but not what was stopped' exited $docker inspect -f '{{.State.Status}}' stopped

is 'kill all' '*h1*' sh -c "$docker kill \$($docker ps -q --filter name=h1) >/dev/null; $docker ps -a --filter name=h1 --format '{{.Names}}'"
# How many checks failed is told, and counts, at the end.
exit 0
