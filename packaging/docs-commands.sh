#!/bin/bash
# Runs the commands of the README and of the how-to pages as a new user would: in a Debian that has
# the engines and what `make install` brings, a fresh one for each page. The Debian is a container
# made by hull itself, without a network but its own; images come from a registry in it.
#
#     packaging/docs-commands.sh HULL DECK [PAGE...]
#
# A PAGE is a path without its end, such as docs/deck. What is not run is printed with the reason.
set -euo pipefail

hull=$(realpath "$1")
deck=$(realpath "$2")
shift 2
cd "$(dirname "$0")/.."
. packaging/commands/config.sh
. packaging/container.sh

packages="containerd docker.io docker-cli podman crun runc busybox-static criu uidmap passt nftables
    iptables netavark aardvark-dns docker-registry nginx-light curl jq procps iproute2 bsdutils
    openssl systemd dbus python3-grpcio python3-yaml python3-protobuf protobuf-compiler"
# Beside them, in /opt/sid, what only Debian's unstable branch has: containerd 2, Kubernetes' APIs.
unstable="containerd golang-k8s-api-dev golang-k8s-apimachinery-dev golang-k8s-cri-api-dev"
cache=$PWD/target/docs-commands

begin pages
mkdir -p "$work"/{bundle,rootfs,layers,registry,pages,out}

# The engines, once: in a container with the host's network.
install_packages() {
    local words
    words=$(xargs <<<"$packages / $unstable")
    [ "$(cat "$cache/packages" 2>/dev/null)" != "$words" ] || return 0
    rm -rf "$cache"
    mkdir -p "$cache"
    cp -a target/demo/rootfs "$cache/rootfs"
    cat >"$work/install.sh" <<END
#!/bin/sh
set -e
apt-get update -q
apt-get install -yq --no-install-recommends ${words%/*}
# A mirror that lags behind will do.
sed 's/^deb \(.*\) stable /deb [check-valid-until=no] \1 sid /' \
    /etc/apt/sources.list >/etc/apt/sources.list.d/sid.list
printf 'Package: *\nPin: release n=sid\nPin-Priority: 1\n' >/etc/apt/preferences.d/sid
apt-get update -q
cd /tmp
for package in ${words#*/}; do
    apt-get download -q "\$package/sid"
    dpkg -x "\$package"_*.deb /opt/sid
done
END
    chmod 0755 "$work/install.sh"
    config "$id" "$cache/rootfs" host /install.sh "$work/install.sh:/install.sh" \
        "$(realpath /etc/resolv.conf):/etc/resolv.conf" >"$work/bundle/config.json"
    echo "installing the engines (once; two minutes)"
    "$hull" --root "$work/state" run --bundle "$work/bundle" "$id" </dev/null >"$cache/log" 2>&1 ||
        { tail -n 30 "$cache/log" >&2 && exit 1; }
    echo "$words" >"$cache/packages"
}

# in_debian PROGRAM: runs it in a Debian of its own.
in_debian() {
    local status=0
    mount -t tmpfs tmpfs "$work/layers"
    mkdir "$work/layers/upper" "$work/layers/work"
    mount -t overlay overlay "$work/rootfs" \
        -o "lowerdir=$work/installed:$cache/rootfs,upperdir=$work/layers/upper,workdir=$work/layers/work"
    config "$id" "$work/rootfs" own "$1" "$PWD/packaging/commands:/commands" \
        "$work/pages:/pages" "$work/registry:/srv/registry" "$work/out:/out" >"$work/bundle/config.json"
    # Init of the container is a shell, which a mere SIGTERM does not end.
    timeout --signal KILL 300 "$hull" --root "$work/state" run --bundle "$work/bundle" "$id" \
        </dev/null || status=$?
    "$hull" --root "$work/state" delete --force "$id"
    umount "$work/rootfs"
    umount "$work/layers"
    return "$status"
}

# run PAGE: its commands, in a Debian where systemd is init if the page is about that.
run() {
    if [ "$1" != docs-systemd ]; then
        in_debian "/commands/page.sh $1"
        return
    fi
    rm -f "$work"/out/*
    in_debian "/commands/systemd.sh $1" || true
    cat "$work/out/log"
    [ "$(cat "$work/out/status")" = 0 ]
}

install_packages
DESTDIR=$work/installed packaging/install.sh install "$deck" /usr/local >/dev/null
target/debug/hull-packaging commands "$work/pages"
in_debian /commands/images.sh >"$work/log" 2>&1 || { cat "$work/log" >&2 && exit 1; }

failed=()
for script in "$work"/pages/*.sh; do
    page=$(basename "$script" .sh)
    [ $# -eq 0 ] || [[ " $* " == *" ${page/docs-/docs\/} "* ]] || continue
    if run "$page" >"$work/log" 2>&1; then
        echo "ok $page: $(grep -c '^== ' "$work/log") blocks"
    else
        failed+=("$page")
        sed "s/^/$page: /" "$work/log" >&2
        echo "not ok $page" >&2
    fi
done
[ ${#failed[@]} -eq 0 ] || { echo "failed: ${failed[*]}" >&2 && exit 1; }
