#!/bin/bash
# Builds programs twice, from copies of this commit in two directories, and compares the bytes.
#
#     packaging/reproducible.sh PROGRAM...
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for place in one another/and/longer; do
    git clone --quiet --no-hardlinks . "$work/$place"
    # A cache of compiled crates would compare one build with itself.
    (unset CARGO_TARGET_DIR && RUSTC_WRAPPER="" "$work/$place/packaging/build.sh" "$work/$place/out" "$@")
done
for program in "$@"; do
    sha256sum "$work/one/out/$program"
    cmp "$work/one/out/$program" "$work/another/and/longer/out/$program"
    echo "$program: the same bytes from both"
done
