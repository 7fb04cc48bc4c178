#!/bin/bash
# test.sh DIR BINARY HULL [FILTER...]: runs the integration tests in BINARY with HULL in a virtual
# machine with systemd and cgroup v2 alone: first with cgroupfs, with the user `sailor` for those of
# an ordinary user's, then with systemd. DIR caches the machine's disk.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
dir=$1 binary=$(realpath "$2") hull=$(realpath "$3")
shift 3
"$here/image.sh" "$dir" || exit 1
tests="HULL_TEST_RUNTIME=$hull $binary --test-threads=2 $*"
"$here/run.sh" -t 3600 -v "$(dirname "$binary"):$(dirname "$binary")" -v "$(dirname "$hull"):$(dirname "$hull")" "$dir" "
cd /tmp
echo '== cgroupfs'; HULL_TEST_USER=2000 $tests; fs=\$?
echo '== systemd'; HULL_TEST_SYSTEMD=1 $tests; systemd=\$?
exit \$((fs | systemd))
"
