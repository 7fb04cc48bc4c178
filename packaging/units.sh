#!/bin/bash
# Writes deck's units for systemd, and the group of those who may use its socket, below a directory
# such as /usr/lib, for programs in PREFIX/bin.
#
#     packaging/units.sh PREFIX DIRECTORY
set -euo pipefail
cd "$(dirname "$0")/.."

prefix=$1
directory=$2
install -d "$directory/systemd/system"
for unit in deck.service deck.socket deck-boot.service; do
    sed "s|/usr/local/bin/|$prefix/bin/|; s|^SocketGroup=root\$|SocketGroup=deck|" \
        "deck/contrib/$unit" >"$directory/systemd/system/$unit"
done
install -D -m 0644 packaging/sysusers.d/deck.conf "$directory/sysusers.d/deck.conf"
