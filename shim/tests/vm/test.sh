#!/bin/bash
# test.sh DIR BINARY SHIM HULL: runs the tests in BINARY, which start SHIM, with HULL as the engine
# in a virtual machine with systemd and cgroup v2 alone: first with cgroupfs, then with systemd.
# DIR caches the machine's disk, which is that of the runtime's tests.
set -uo pipefail
vm=$(cd "$(dirname "$0")/../../../runtime/tests/vm" && pwd)
dir=$1 binary=$(realpath "$2") shim=$(realpath "$3") hull=$(realpath "$4")
"$vm/image.sh" "$dir" || exit 1
shares=()
for folder in $(printf '%s\n' "${binary%/*}" "${shim%/*}" "${hull%/*}" | sort -u); do
    shares+=(-v "$folder:$folder")
done
"$vm/run.sh" -t 900 "${shares[@]}" "$dir" "
cd /tmp
export HULL_SHIM_ENGINE=$hull
echo '== cgroupfs'; $binary --test-threads=2; fs=\$?
echo '== systemd'; HULL_TEST_SYSTEMD=1 $binary --test-threads=2; systemd=\$?
exit \$((fs | systemd))
"
