#!/bin/bash
# Prints the commit that a build is of, for `hull --version` and `deck version`: `-dirty` follows where
# the sources differ from it, and outside of a checkout, as in an unpacked archive, it is `unknown`.
#
#     packaging/commit.sh DIRECTORY...       the program's directory and those it is made of as well
set -euo pipefail
cd "$(dirname "$0")/.."

# A checkout of another project, in which the archive was unpacked, says nothing of this one.
if [ ! -e .git ] || ! commit=$(git rev-parse HEAD 2>/dev/null); then
    echo unknown
    exit
fi
# Pages and tests make no other program.
paths=(Cargo.toml Cargo.lock .cargo)
for directory in "$@"; do
    for name in build.rs order.ld src Cargo.toml; do paths+=("$directory/$name"); done
done
git diff --quiet HEAD -- "${paths[@]}" || commit+=-dirty
echo "$commit"
