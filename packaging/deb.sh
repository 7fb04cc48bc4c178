#!/bin/bash
# Makes the Debian packages `hull` (runtime and shim) and `hull-deck` from what was built.
#
#     packaging/deb.sh DECK target/deb
#
# By dpkg-deb alone: the binaries are static, so there are no dependencies to work out and no
# helper to learn; what debhelper or cargo-deb would add are files to maintain beside these.
set -euo pipefail
cd "$(dirname "$0")/.."

deck=$1
out=$2
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
arch=$(dpkg --print-architecture)
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
# Whoever packages answers for the package; the default has no mailbox (RFC 2606: .invalid).
maintainer=${DEB_MAINTAINER:-The Hull authors <noreply@hull.invalid>}
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT

# Documents every package has to have (Debian Policy, 12.5 and 12.7).
documents() {
    local doc=$stage/$1/usr/share/doc/$1
    install -d "$doc"
    {
        echo 'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/'
        echo 'Files: *'
        echo 'Copyright: the Hull authors'
        echo 'License: Apache-2.0'
        echo ' On Debian systems the text is in /usr/share/common-licenses/Apache-2.0.'
    } >"$doc/copyright"
    gzip -9n <CHANGELOG.md >"$doc/changelog.gz"
}

# Manual pages and completions.
generated() {
    local program=$1 root=$stage/$2/usr/share
    # Where Debian's zsh looks for what packages bring.
    packaging/generate.sh "$program" "$root" zsh/vendor-completions
    find "$root/man" -type f -name '*.?' -exec gzip -9n {} +
}

# control, md5sums, the archive. Further fields of control come on standard input.
archive() {
    local name=$1 root=$stage/$1
    install -d "$root/DEBIAN"
    {
        echo "Package: $name"
        echo "Version: $version"
        echo "Architecture: $arch"
        echo "Maintainer: $maintainer"
        echo 'Section: admin'
        echo 'Priority: optional'
        echo "Installed-Size: $(du -sk --apparent-size --exclude=DEBIAN "$root" | cut -f1)"
        cat
    } >"$root/DEBIAN/control"
    (cd "$root" && find usr -type f -print0 | sort -z | xargs -0 md5sum >DEBIAN/md5sums)
    find "$root" -exec touch --no-dereference --date="@$epoch" {} +
    SOURCE_DATE_EPOCH=$epoch dpkg-deb --root-owner-group --build "$root" \
        "$out/${name}_${version}_$arch.deb"
}

hull() {
    install -D -m 0755 target/hull "$stage/hull/usr/bin/hull"
    install -D -m 0755 target/containerd-shim-hull-v2 \
        "$stage/hull/usr/bin/containerd-shim-hull-v2"
    documents hull
    generated hull hull
    archive hull <<END
Recommends: procps, uidmap
Description: small, fast OCI container runtime
 hull runs one container from one bundle, with runc's command line, and gets out
 of the way. containerd, Docker, Podman and CRI-O use it as it is.
 containerd-shim-hull-v2 makes it a runtime of containerd and Kubernetes.
END
}

deck() {
    local root=$stage/hull-deck
    install -D -m 0755 --strip "$deck" "$root/usr/bin/deck"
    install -m 0755 deck/contrib/deck-rootless "$root/usr/bin/"
    packaging/units.sh /usr "$root/usr/lib"
    install -d "$root/DEBIAN"
    install -m 0755 packaging/debian/deck.{postinst,prerm,postrm} "$root/DEBIAN/"
    rename_scripts "$root/DEBIAN"
    documents hull-deck
    generated "$root/usr/bin/deck" hull-deck
    archive hull-deck <<END
Depends: hull (= $version), nftables
Recommends: ca-certificates
Description: containers, images and networks with Docker's commands
 deck has Docker's commands, flags and output, and serves Docker's API on a
 socket, without a resident daemon.
END
}

rename_scripts() {
    local script
    for script in postinst prerm postrm; do
        mv "$1/deck.$script" "$1/$script"
    done
}

umask 022
mkdir -p "$out"
hull
deck
ls -l "$out"
