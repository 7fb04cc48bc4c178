#!/bin/bash
# Runs the commands of docs/conformance.md as they stand there (root; minutes, for the self-test).
#
#     conformance/commands.sh SUITE HULL
set -euo pipefail
suite=$(realpath "$1") hull=$(realpath "$2")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin"
ln -s "$suite" "$work/bin/hull-conformance"
ln -s "$hull" "$work/bin/hull"
export PATH=$work/bin:$PATH
cd "$work"

set -x
hull-conformance --runtime hull >one
# 1: runc does not pass every case.
hull-conformance --runtime hull --runtime runc >two || [ $? = 1 ]
hull-conformance --filter hooks/ --filter mounts/ >some
hull-conformance --list >list
hull-conformance --format html --output report.html
hull-conformance --coverage >coverage
hull-conformance --self-test >self-test
set +x

grep -q '^hooks/' list
grep -q '</html>' report.html
# Two runtimes stand side by side, and some chapters are fewer cases than all.
[ "$(wc -l <two)" -gt "$(wc -l <one)" ] && [ "$(wc -l <some)" -lt "$(wc -l <one)" ] &&
    [ -s coverage ] && [ -s self-test ]
