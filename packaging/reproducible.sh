#!/bin/bash
# Builds hull twice, from copies of this commit in two directories, and compares the bytes.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for place in one another/and/longer; do
    git clone --quiet --no-hardlinks . "$work/$place"
    # A cache of compiled crates would compare one build with itself.
    (unset CARGO_TARGET_DIR RUSTC_WRAPPER && "$work/$place/packaging/build.sh" "$work/$place/out" hull)
    sha256sum "$work/$place/out/hull"
done
cmp "$work/one/out/hull" "$work/another/and/longer/out/hull"
echo "the same bytes from both"
