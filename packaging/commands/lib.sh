# shellcheck shell=bash
# Shared by what runs in the Debian of docs-commands.sh.

set -euo pipefail
# What stands in for systemd where it does not run.
[ -S /run/systemd/private ] || PATH=/commands/bin:$PATH

# until_true COMMAND...: waits a minute for it.
until_true() {
    for _ in $(seq 600); do
        "$@" >/dev/null 2>&1 && return
        sleep 0.1
    done
    echo "not within a minute: $*" >&2
    return 1
}

# Where the pages' registries.toml finds a mirror. Docker's and Podman's names lead there as well.
mirror=127.0.0.1:5001
serve_registry() {
    ip link set lo up
    cat >/run/registry.yml <<END
version: 0.1
storage: { filesystem: { rootdirectory: /srv/registry } }
http: { addr: 0.0.0.0:5001 }
END
    docker-registry serve /run/registry.yml >/run/registry.log 2>&1 &
    until_true curl --silent --fail "http://$mirror/v2/"
    mkdir -p /etc/deck
    printf '[registry."docker.io"]\nmirrors = ["http://%s"]\n' "$mirror" >/etc/deck/registries.toml
}
