#!/bin/bash
# unprivileged.sh SUITE [ARGUMENT...]: runs the suite as an ordinary user without an account and
# without subordinate ids. Runtimes named by a path are copied to where that user can execute them.
set -euo pipefail
user=64321
dir=$(mktemp -d "${TMPDIR:-/tmp}/conformance-user-XXXXXX")
trap 'rm -rf "$dir"' EXIT
chmod 755 "$dir"
mkdir -m 700 "$dir/tmp"
chown "$user:$user" "$dir/tmp"
install -m 0755 "$1" "$dir/suite"
shift
arguments=()
while [ $# -gt 0 ]; do
	if [ "$1" = --runtime ] && [ -f "${2:-}" ]; then
		install -m 0755 "$2" "$dir/$(basename "$2")"
		arguments+=(--runtime "$dir/$(basename "$2")")
		shift 2
	else
		arguments+=("$1")
		shift
	fi
done
cd "$dir/tmp"
env -i PATH="$PATH" HOME=/ TMPDIR="$dir/tmp" \
	setpriv --reuid "$user" --regid "$user" --clear-groups \
	"$dir/suite" "${arguments[@]}"
