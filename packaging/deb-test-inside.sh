#!/bin/bash
# Runs as root in the container of deb-test.sh.
set -euo pipefail

# Everything on the disk but what dpkg keeps for itself, and the copies that groupadd(8) makes.
disk() {
    find / -xdev \( -path /var/lib/dpkg -o -path /var/log -o -path /var/cache \) -prune -o \
        ! -path "/etc/*-" -print | sort
}

fail() {
    echo "deb-test: $*" >&2
    exit 1
}

# says PATTERN COMMAND...: the command succeeds, and a line of its output matches.
says() {
    local pattern=$1 output
    shift
    output=$("$@") || fail "$* failed"
    grep -q -- "$pattern" <<<"$output" || fail "$* does not say $pattern: $output"
}

disk >/tmp/before

dpkg --install /packages/hull_*.deb
[ "$(command -v hull)" = /usr/bin/hull ] || fail "hull is not in the PATH"
says '^hull version 0' hull --version
says . containerd-shim-hull-v2 -v
mkdir /tmp/bundle /tmp/bundle/rootfs
hull spec --bundle /tmp/bundle
says '^namespaces' hull explain --bundle /tmp/bundle

# A minimal Debian lacks nftables, which only networks need.
dpkg --force-depends --install /packages/hull-deck_*.deb
says . deck --version
says . getent group deck
says '^ExecStart=/usr/bin/deck ' cat /usr/lib/systemd/system/deck.service
says '^SocketGroup=deck$' cat /usr/lib/systemd/system/deck.socket

for package in hull hull-deck; do
    [ -z "$(dpkg --verify "$package")" ] || fail "$package is not as it was packed"
done
# Of the packages' list: a minimal Debian may be told to leave manual pages and documents out (dpkg's
# path-exclude).
dpkg --listfiles hull hull-deck >/tmp/files
for file in man/man1/hull.1.gz man/man1/deck.1.gz man/man1/deck-run.1.gz \
    bash-completion/completions/hull bash-completion/completions/deck \
    zsh/vendor-completions/_hull zsh/vendor-completions/_deck \
    fish/vendor_completions.d/hull.fish fish/vendor_completions.d/deck.fish; do
    says "^/usr/share/$file\$" cat /tmp/files
done
bash -n /usr/share/bash-completion/completions/hull || fail "hull's completions are no bash"
bash -n /usr/share/bash-completion/completions/deck || fail "deck's completions are no bash"

# Again over itself, as an upgrade does.
dpkg --force-depends --install /packages/hull_*.deb /packages/hull-deck_*.deb

dpkg --remove hull-deck hull
for program in hull containerd-shim-hull-v2 deck; do
    [ ! -e "/usr/bin/$program" ] || fail "$program is still there"
done
dpkg --purge hull-deck
disk >/tmp/after
diff /tmp/before /tmp/after || fail "the packages left something, or took something along"
echo "installed, used, removed: nothing is left"
