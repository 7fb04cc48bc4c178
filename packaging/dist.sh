#!/bin/bash
# Makes the release: a static archive for this architecture, its list of parts for each program
# (SBOM, CycloneDX), and checksums.
#
#     packaging/dist.sh target/dist
set -euo pipefail
cd "$(dirname "$0")/.."

out=$1
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
name=hull-$version-linux-$(uname -m)
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT

packaging/build.sh target/release-build
rm -rf "$out"
mkdir -p "$out" "$stage/$name/bin"
install -m 0755 target/release-build/{hull,containerd-shim-hull-v2,deck,hull-conformance} \
    "$stage/$name/bin/"
cp README.md CHANGELOG.md LICENSE SECURITY.md "$stage/$name/"
install -m 0755 deck/contrib/deck-rootless "$stage/$name/bin/"
packaging/units.sh /usr/local "$stage/$name/lib"
packaging/generate.sh hull "$stage/$name/share"
packaging/generate.sh "$stage/$name/bin/deck" "$stage/$name/share"

# The programs say of which commit they are (`deck version` would open the store of this machine).
commit=$(packaging/commit.sh runtime shim deck conformance)
"$stage/$name/bin/hull" --version | grep -qx "commit: $commit" &&
    grep -aq "$commit" "$stage/$name/bin/deck" ||
    { echo "dist: hull or deck does not say that it is of $commit" >&2 && exit 1; }

# In one order, of one owner and one time, so that the same binaries are the same archive.
tar --create --directory "$stage" --sort=name --owner=0 --group=0 --numeric-owner --mode=u+rwX,go+rX,go-w \
    --mtime="@$epoch" --pax-option=delete=atime,delete=ctime "$name" | gzip -9n >"$out/$name.tar.gz"

cargo metadata --locked --format-version 1 --filter-platform "$(uname -m)-unknown-linux-musl" \
    >"$stage/metadata.json"
list() {
    target/debug/hull-packaging sbom "$stage/metadata.json" "$@" >"$out/$name.$1.cdx.json"
}
rust=rust-std@$(rustc --version | cut -d " " -f 2)
list hull "$rust" "libseccomp@$("$stage/$name/bin/hull" --version | sed -n "s/^libseccomp: //p")"
for package in hull-shim deck hull-conformance; do
    list "$package" "$rust"
done
(cd "$out" && sha256sum -- * >"$stage/SHA256SUMS" && mv "$stage/SHA256SUMS" .)
(cd "$out" && sha256sum --check SHA256SUMS)
ls -l "$out"
