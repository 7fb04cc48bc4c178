#!/bin/bash
# Fuzzes each target for some seconds, from the corpus and what earlier runs found.
# usage: run.sh SECONDS TARGETDIR [TARGET...]
#
# libFuzzer with the compiler's coverage alone: that works on stable. Sanitizers need nightly, and
# what they find is in unsafe code, of which these readers have none.
set -euo pipefail
seconds=$1 target=$(realpath -m "$2")
shift 2
cd "$(dirname "$0")"
[ $# -gt 0 ] || set -- reference manifest layer
triple=$(rustc -vV | sed -n 's/^host: //p')
flags="--cfg fuzzing -Cpasses=sancov-module"
for flag in level=4 inline-8bit-counters pc-table trace-compares; do
	flags="$flags -Cllvm-args=-sanitizer-coverage-$flag"
done
# With a target named, build scripts are not instrumented.
RUSTFLAGS=$flags CARGO_TARGET_DIR=$target cargo build --release --locked --target "$triple"
for name in "$@"; do
	mkdir -p "$target/found/$name"
	echo "== $name for $seconds seconds"
	"$target/$triple/release/$name" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=512 \
		-max_len=65536 -print_final_stats=1 -artifact_prefix="$target/found/crash-$name-" \
		"$target/found/$name" "corpus/$name" 2>&1 | tail -n 12
done
