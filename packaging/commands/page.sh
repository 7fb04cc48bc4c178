#!/bin/bash
# Runs a page's commands. What the page takes for granted is made first, by a function of the page's
# name: a daemon that runs, a bundle that is there, the user who types.
. "$(dirname "$0")/lib.sh"

page=$1
# Who types, and where.
as=root
home=/root

# A bundle of busybox that sleeps, called web.
bundle() {
    mkdir -p web/rootfs/{bin,tmp}
    cp "$(command -v busybox)" web/rootfs/bin/sleep
    hull spec --bundle web
    sed -i 's/"terminal": true/"terminal": false/; s/"sh"/"sleep", "1000"/' web/config.json
}

# An ordinary user with a login session, whom /etc/subuid names.
user() {
    as=sailor
    home=/home/sailor
    useradd --create-home --shell /bin/bash sailor
    install -d -o sailor -m 0700 "/run/user/$(id -u sailor)"
}

before_docs_checkpoint() {
    bundle
    mkdir -p /var/lib/web
}
before_docs_containerd() {
    systemctl restart containerd
    ctr image pull --plain-http "$mirror/library/busybox:latest"
    ctr image tag "$mirror/library/busybox:latest" docker.io/library/busybox:latest
}
before_docs_deck() {
    groupadd --force docker
    openssl req -quiet -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority \
        -keyout ca-key.pem -out ca.pem
    for name in server client; do
        openssl req -quiet -newkey rsa:2048 -nodes -subj /CN=$name -keyout $name-key.pem -out $name.csr
        openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 2 \
            -extfile <(echo subjectAltName=DNS:localhost) -out $name.pem
    done
    mv server.pem cert.pem
    mv server-key.pem key.pem
    mkdir ~/.docker
    cp ca.pem ~/.docker/
    cp client.pem ~/.docker/cert.pem
    cp client-key.pem ~/.docker/key.pem
}
before_docs_deck_rootless() {
    user
    # A way to the world, at whose end pasta shows the host's loopback.
    ip link add out type veth peer name world
    ip address add 10.9.9.1/24 dev out
    ip link set out up
    ip link set world up
    ip route add default via 10.9.9.254
    install -d -o sailor /home/sailor/.config /home/sailor/.config/deck
    cat >/home/sailor/.config/deck/registries.toml <<END
[registry."docker.io"]
mirrors = ["http://10.9.9.254:5001"]
[registry."10.9.9.254:5001"]
plain_http = true
END
}
before_docs_direct() { systemctl restart docker; }
before_docs_kubernetes() { touch /etc/resolv.conf; }
before_docs_namespaces() { bundle; }
before_docs_podman() {
    printf '[[registry]]\nprefix = "docker.io"\nlocation = "docker.io"\n%s\n' \
        "[[registry.mirror]]
location = \"$mirror\"
insecure = true" >/etc/containers/registries.conf
}
before_docs_rootless() { user; }
before_docs_security() { bundle; }
before_docs_systemd() {
    bundle
    # Process 1 of a pid namespace ends by a signal only if it handles it.
    cp web/rootfs/bin/sleep web/rootfs/bin/sh
    sed -i 's/"sleep", "1000"/"sh", "-c", "trap exit TERM; sleep 1000 \& wait"/' web/config.json
    cp -a web /srv/web
}
before_docs_update() {
    bundle
    hull run --detach --bundle web web </dev/null >/dev/null 2>&1
}

serve_registry
mkdir -p /root/here
cd /root/here
before=before_${page//-/_}
if declare -F "$before" >/dev/null; then "$before"; fi
if [ "$as" = root ]; then
    bash "/pages/$page.sh"
else
    cd "$home"
    setpriv --reuid "$as" --regid "$as" --init-groups env HOME="$home" USER="$as" \
        XDG_RUNTIME_DIR="/run/user/$(id -u "$as")" bash "/pages/$page.sh"
fi
