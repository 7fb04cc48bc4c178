#!/bin/bash
# What people do with Docker every day, three times: with deck itself, with the stock docker command
# over a unix socket of `deck serve`, and with it over TCP with client certificates. The server that
# is published is Debian's nginx, pulled from a registry. "Host" is a network namespace of its own.
# usage: docker-note.sh DECK HULL SHIM [DOCKER]
. "$(dirname "$0")/lib.sh"
registry=127.0.0.1:5000 unix=unix://$work/s tcp=tcp://127.0.0.1:2376
image=$registry/nginx:latest
servers=()
mkdir -p "$work/tls"

teardown() {
	DECK_HOST=local "$deck" ps -aq 2>/dev/null |
		DECK_HOST=local xargs -r "$deck" rm -f -v >/dev/null 2>&1
	for pid in "${servers[@]}"; do kill "$pid" 2>/dev/null; wait "$pid" 2>/dev/null; done
}

# get ADDRESS PORT: the page a web server has there.
get() {
	exec 3<>"/dev/tcp/$1/$2" || return 1
	printf 'GET / HTTP/1.0\r\nHost: test\r\n\r\n' >&3
	cat <&3
	exec 3>&-
}
page() { until_true get "$1" "$2"; get "$1" "$2"; }

# Debian's nginx with the libraries it needs, and busybox.
nginx_root() {
	local root=$work/image file
	mkdir -p "$root"/{bin,etc/nginx,tmp,run,srv/www,srv/data,var/log/nginx,var/lib/nginx}
	for file in "$(command -v nginx)" $(ldd "$(command -v nginx)" | grep -o '/[^ ]*'); do
		mkdir -p "$root$(dirname "$file")"
		cp -L "$file" "$root$file"
	done
	cp "$(command -v busybox)" "$root/bin/busybox"
	for file in sh ls cat echo sleep true tty hostname touch; do
		ln -s busybox "$root/bin/$file"
	done
	printf 'root:x:0:0:root:/:/bin/sh\nwww-data:x:33:33:w:/:/bin/false\n' >"$root/etc/passwd"
	printf 'root:x:0:\nwww-data:x:33:\n' >"$root/etc/group"
	echo 'from the image' >"$root/srv/www/index.html"
	echo seeded >"$root/srv/data/seed"
	cat >"$root/etc/nginx/nginx.conf" <<-CONF
		user www-data;
		daemon off;
		error_log stderr;
		pid /run/nginx.pid;
		events {}
		http { access_log /dev/stdout; server { listen 80; root /srv/www; } }
	CONF
	tar -C "$root" -c .
}

# A registry on the loopback with the image in it, and none of it here.
publish_image() {
	cat >"$work/registry.yml" <<-CONF
		version: 0.1
		storage: { filesystem: { rootdirectory: $work/registry } }
		http: { addr: $registry }
	CONF
	docker-registry serve "$work/registry.yml" >"$work/registry.log" 2>&1 &
	servers+=($!)
	until_true get 127.0.0.1 5000 || { echo "the registry does not answer"; exit 1; }
	nginx_root | DECK_HOST=local "$deck" import -c "CMD [\"$(command -v nginx)\"]" \
		-c 'EXPOSE 80' -c 'VOLUME /srv/data' - "$image" >/dev/null || exit 1
	DECK_HOST=local "$deck" push -q "$image" >/dev/null || exit 1
	DECK_HOST=local "$deck" rmi "$image" >/dev/null || exit 1
}

# An authority, a server's certificate and a client's.
certificates() {
	(
		cd "$work/tls" || exit
		openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority \
			-keyout ca-key.pem -out ca.pem
		for name in server client; do
			openssl req -newkey rsa:2048 -nodes -subj "/CN=$name" \
				-keyout $name-key.pem -out $name.csr
			openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 2 \
				-extfile <(echo subjectAltName=IP:127.0.0.1) -out $name.pem
		done
	) >"$work/tls/log" 2>&1 || { cat "$work/tls/log"; exit 1; }
}

serve() {
	certificates
	"$deck" serve -H "$unix" -H "$tcp" --tlscacert "$work/tls/ca.pem" \
		--tlscert "$work/tls/server.pem" --tlskey "$work/tls/server-key.pem" >"$work/log" 2>&1 &
	servers+=($!)
	until_true $docker -H "$unix" version || { cat "$work/log"; exit 1; }
}

# d ARGUMENTS...: the command of the door that is tried.
d() { timeout 120 "${command[@]}" "$@"; }

# on_a_terminal ARGUMENTS...
on_a_terminal() { timeout 120 script -qec "${command[*]} $*" /dev/null; }

images() {
	is pull '*Downloaded newer image for *' d pull "$image"
	is search '*nginx*' d search "$registry/nginx"
	is images "$image" d images --format '{{.Repository}}:{{.Tag}}'
	is save '' d save -o "$work/saved.tar" "$image"
	is rmi '*Untagged: *Deleted: *' d rmi "$image"
	is 'none is left' '' d images -q
	is load "*Loaded image: $image" d load -i "$work/saved.tar"
	is 'load from a pipe' "*Loaded image: $image" \
		sh -c "gzip -c '$work/saved.tar' | ${command[*]} load"
}

published() {
	local port
	is 'run -d -p' '????????????*' d run -d --name web -p 81:80 "$image"
	is 'the published page' '*from the image*' page 127.0.0.1 81
	is 'the page at its own address' '*from the image*' \
		page "$(d inspect --format '{{.NetworkSettings.IPAddress}}' web)" 80
	is 'a port that is taken' '*already*' d run --rm -p 81:80 "$image" true
	is 'run -d -P' '????????????*' d run -d --name any -P "$image"
	port=$(d port any 80/tcp | head -n 1)
	is 'the page at a port of its choice' '*from the image*' page 127.0.0.1 "${port##*:}"
	mkdir -p "$work/www"
	echo 'from the host' >"$work/www/index.html"
	is 'run -v' '????????????*' d run -d --name bound -v "$work/www:/srv/www:ro" -p 82:80 "$image"
	is 'the page of the host' '*from the host*' page 127.0.0.1 82
	is 'logs of the server' '*GET / HTTP/1.0*200*' d logs web
}

volumes() {
	is 'exec writes to a volume' '' d exec web touch /srv/data/mine
	is '--volumes-from' 'mine?seed' d run --rm --volumes-from web "$image" ls /srv/data
	is 'a named volume' seeded d run --rm -v "named:/srv/data" "$image" cat /srv/data/seed
	is 'it is listed' '*named*' d volume ls -q
	is 'it is removed' named d volume rm named
}

interactive() {
	is 'run -it' '*/dev/*' on_a_terminal run -it --rm "$image" tty
	is 'run -i' given sh -c "echo given | ${command[*]} run -i --rm $image cat"
	is 'run -d -i' '????????????*' d run -d -i --name asks "$image" sh -c 'read x; echo "got $x"'
	is attach 'got input' sh -c "echo input | timeout 120 ${command[*]} attach asks"
	is 'run -d -it' '????????????*' d run -d -it --name ticks "$image" \
		sh -c 'while :; do echo tick; sleep 0.1; done'
	is 'attach and leave' 'true' leave ticks
}

# leave CONTAINER: attaches on a terminal, leaves by the detach keys once there is output, and tells
# whether the container goes on.
leave() {
	mkfifo "$work/keys"
	timeout 120 script -qfec "${command[*]} attach --detach-keys ctrl-x $1" /dev/null \
		<"$work/keys" >"$work/typed" 2>&1 &
	local attached=$!
	exec 4>"$work/keys"
	until_true grep -q tick "$work/typed"
	printf '\x18' >&4
	wait "$attached"
	exec 4>&-
	rm "$work/keys"
	d inspect --format '{{.State.Running}}' "$1"
}

# The table of docs/deck.md.
exit_codes() {
	is "exit: the program's" 7 ended d run --rm "$image" sh -c 'exit 7'
	is 'exit: a signal' 143 ended d run --rm "$image" sh -c 'trap "exit 143" TERM; kill $$'
	is 'exit: no such image' 125 ended d run --rm --pull never nosuch
	is 'exit: a name that is taken' 125 ended d create --name web "$image"
	is 'exit: not executable' 126 ended d run --rm "$image" /etc
	is 'exit: not there' 127 ended d run --rm "$image" nosuchcommand
	is "exit: exec's program's" 8 ended d exec web sh -c 'exit 8'
	is 'exit: exec of what is not executable' 126 ended d exec web /etc
	is 'exit: exec of what is not there' 127 ended d exec web nosuchcommand
	is "exit: start -a's program's" 9 ended sh -c \
		"${command[*]} create --name nine $image sh -c 'exit 9'; ${command[*]} start -a nine"
	is 'exit: no such flag' 125 ended d ps --nosuch
	is 'exit: no such container' 1 ended d rm nosuch
	is 'exit: no such command' 1 ended d nosuch
}

# ended COMMAND...: its exit code.
ended() {
	"$@" >/dev/null 2>&1
	echo $?
}

life() {
	local pid
	is 'ps -a' '*Exited (0)*asks*' d ps -a --filter name=asks --format '{{.Status}} {{.Names}}'
	is 'create and start -a' again sh -c \
		"${command[*]} create --name once $image echo again >/dev/null; ${command[*]} start -a once"
	is start bound sh -c "${command[*]} stop -t 5 bound >/dev/null; ${command[*]} start bound"
	is 'it serves again' '*from the host*' page 127.0.0.1 82
	pid=$(d inspect --format '{{.State.Pid}}' web)
	is nsenter "$(d inspect --format '{{.Config.Hostname}}' web)" \
		nsenter -t "$pid" -u -i -n -p hostname
	is 'nsenter sees its network' '*eth0*' nsenter -t "$pid" -n ip -br link
	is 'rm -f' any d rm -f any
	# shellcheck disable=SC2046 -- a list of ids
	is 'kill all' '*????????????*' d kill $(d ps -q)
	is 'nothing runs' '' d ps -q
	is 'the ports are closed' '*refused*' get 127.0.0.1 81
	# shellcheck disable=SC2046 -- a list of ids
	is 'rm -f all' '*????????????*' d rm -f -v $(d ps -aq)
	is 'no container is left' '' d ps -aq
	is 'volume prune takes what rm without -v left' '*Deleted Volumes:*' d volume prune -f
	is 'no volume is left' '' d volume ls -q
	is 'rmi again' '*Deleted: *' d rmi "$image"
}

publish_image
serve
tls=(--tlsverify --tlscacert "$work/tls/ca.pem" --tlscert "$work/tls/client.pem"
	--tlskey "$work/tls/client-key.pem")
for door in deck unix tls; do
	case $door in
	deck) command=("$deck" -H local) ;;
	unix) command=($docker -H "$unix") ;;
	tls) command=($docker -H "$tcp" "${tls[@]}") ;;
	esac
	images
	published
	volumes
	interactive
	# Docker's own command has them from the API, which docker-cli.sh looks at.
	[ $door != deck ] || exit_codes
	life
done
is 'no certificate, no answer' '*certificate*' timeout 120 $docker -H "$tcp" \
	--tlsverify --tlscacert "$work/tls/ca.pem" version
is 'no TLS, no answer' '*without TLS*' timeout 120 $docker -H "$tcp" version
# How many checks failed is told, and counts, at the end.
exit 0
