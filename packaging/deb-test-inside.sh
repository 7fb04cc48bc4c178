#!/bin/bash
# Runs as root in the container of deb-test.sh.
set -euo pipefail

# Everything on the disk but what dpkg keeps for itself.
disk() {
    find / -xdev \( -path /var/lib/dpkg -o -path /var/log -o -path /var/cache \) -prune -o -print | sort
}

fail() {
    echo "deb-test: $*" >&2
    exit 1
}

disk >/tmp/before

dpkg --install /packages/hull_*.deb
[ "$(command -v hull)" = /usr/bin/hull ] || fail "hull is not in the PATH"
hull --version | grep -q '^hull version 0' || fail "hull does not run"
containerd-shim-hull-v2 -v | grep -q . || fail "the shim does not run"
mkdir /tmp/bundle
hull spec --bundle /tmp/bundle
mkdir /tmp/bundle/rootfs
hull explain --bundle /tmp/bundle | grep -q '^namespaces' || fail "hull does not explain"

# A minimal Debian lacks nftables, which only networks need.
dpkg --force-depends --install /packages/hull-deck_*.deb
deck --version | grep -q . || fail "deck does not run"
getent group deck >/dev/null || fail "there is no group deck"
grep -q '^ExecStart=/usr/bin/deck ' /usr/lib/systemd/system/deck.service ||
    fail "the unit has another path"
grep -q '^SocketGroup=deck$' /usr/lib/systemd/system/deck.socket || fail "the socket's group"

for package in hull hull-deck; do
    [ -z "$(dpkg --verify "$package")" ] || fail "$package is not as it was packed"
done
for file in man/man1/hull.1.gz man/man1/deck.1.gz man/man1/deck-run.1.gz \
    bash-completion/completions/hull bash-completion/completions/deck \
    zsh/vendor-completions/_hull zsh/vendor-completions/_deck \
    fish/vendor_completions.d/hull.fish fish/vendor_completions.d/deck.fish; do
    # A minimal Debian may be told to leave manual pages and documents out (dpkg's path-exclude).
    dpkg --listfiles hull hull-deck | grep -qx "/usr/share/$file" || fail "$file is in no package"
done
bash -n /usr/share/bash-completion/completions/hull || fail "hull's completions are no bash"
bash -n /usr/share/bash-completion/completions/deck || fail "deck's completions are no bash"

# Again over itself, as an upgrade does.
dpkg --force-depends --install /packages/hull_*.deb /packages/hull-deck_*.deb

dpkg --remove hull-deck hull
command -v hull deck && fail "a program is still there"
dpkg --purge hull-deck hull
disk >/tmp/after
diff /tmp/before /tmp/after || fail "the packages left something, or took something along"
echo "installed, used, removed: nothing is left"
