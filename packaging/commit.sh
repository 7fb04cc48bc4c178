#!/bin/bash
# Prints the commit that a build is of, for `hull --version`: `-dirty` follows where the sources
# differ from it, and outside of a checkout, as in an unpacked archive, it is `unknown`.
set -euo pipefail
cd "$(dirname "$0")/.."

# A checkout of another project, in which the archive was unpacked, says nothing of this one.
if [ ! -e .git ] || ! commit=$(git rev-parse HEAD 2>/dev/null); then
    echo unknown
    exit
fi
# Pages and tests make no other program.
git diff --quiet HEAD -- Cargo.toml Cargo.lock .cargo runtime/build.rs runtime/order.ld \
    runtime/src runtime/Cargo.toml || commit+=-dirty
echo "$commit"
