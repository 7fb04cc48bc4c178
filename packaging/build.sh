#!/bin/bash
# Builds the release's programs so that the same commit gives the same bytes, wherever it lies:
# paths of this machine are left out, and so is the time.
#
#     packaging/build.sh DIRECTORY [PROGRAM...]
set -euo pipefail
cd "$(dirname "$0")/.."

out=$1
shift
[ $# -gt 0 ] || set -- hull containerd-shim-hull-v2 deck hull-conformance
target=$(uname -m)-unknown-linux-musl
cargo_home=${CARGO_HOME:-$HOME/.cargo}
# RUSTFLAGS replaces the flags of .cargo/config.toml, so they are said again.
export RUSTFLAGS="-C target-feature=+crt-static -C relocation-model=static \
    -C symbol-mangling-version=v0 \
    --remap-path-prefix=$PWD=/hull --remap-path-prefix=$cargo_home=/cargo"
CFLAGS="-ffile-prefix-map=$cargo_home=/cargo -ffile-prefix-map=$PWD=/hull"
export CFLAGS
# A release is of one commit: what differs in one program's sources is told by all.
HULL_COMMIT=$(packaging/commit.sh runtime shim deck conformance)
export HULL_COMMIT
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}/reproducible

mkdir -p "$out"
for program in "$@"; do
    case $program in
        hull)
            cargo build --profile small --locked -p hull --bin hull --target "$target"
            strip -o "$out/hull" "$CARGO_TARGET_DIR/$target/small/hull"
            ;;
        containerd-shim-hull-v2)
            cargo build --release --locked -p hull-shim --bin "$program" --target "$target"
            install -m 0755 "$CARGO_TARGET_DIR/$target/release/$program" "$out/$program"
            ;;
        *)
            cargo build --release --locked -p "$program" --bin "$program" --target "$target"
            install -m 0755 "$CARGO_TARGET_DIR/$target/release/$program" "$out/$program"
            ;;
    esac
done
