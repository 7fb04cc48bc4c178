#!/bin/bash
# Installs what was built below PREFIX, and lists it in PREFIX/share/hull/installed, which
# `uninstall` goes by.
#
#     packaging/install.sh install DECK PREFIX
#     packaging/install.sh uninstall PREFIX
#
# DESTDIR in the environment stands before PREFIX on the disk, and in no file.
set -euo pipefail
cd "$(dirname "$0")/.."

list=share/hull/installed

install_all() {
    local deck=$1 prefix=$2 stage unit file root=${DESTDIR:-}$2
    stage=$(mktemp -d)
    # shellcheck disable=SC2064 # the directory of now
    trap "rm -rf '$stage'" EXIT
    install -D -m 0755 -t "$stage/bin" target/hull target/containerd-shim-hull-v2 \
        deck/contrib/deck-rootless
    install -m 0755 --strip "$deck" "$stage/bin/deck"
    packaging/generate.sh hull "$stage/share"
    packaging/generate.sh "$stage/bin/deck" "$stage/share"
    packaging/units.sh "$prefix" "$stage/lib"
    install -D -m 0644 /dev/null "$stage/$list"
    (cd "$stage" && find . -type f -printf '%P\n' | LC_ALL=C sort >"$list")
    while read -r file; do
        install -D -m "$(stat -c %a "$stage/$file")" "$stage/$file" "$root/$file"
    done <"$stage/$list"
    echo "installed below $root; uninstall takes away the same"
}

uninstall_all() {
    local root=${DESTDIR:-}$1 file
    [ -e "$root/$list" ] || { echo "nothing is installed: no $root/$list" >&2 && exit 1; }
    while read -r file; do
        rm -f "${root:?}/$file"
    done < <(cat "$root/$list")
    rmdir "$root/share/hull"
    echo "removed from $root"
}

umask 022
case ${1:-} in
    install) install_all "$2" "$3" ;;
    uninstall) uninstall_all "$2" ;;
    *) echo "usage: $0 install DECK PREFIX | uninstall PREFIX" >&2 && exit 2 ;;
esac
