#!/bin/bash
# Writes a program's manual pages and completions below a directory such as /usr/share. deck makes
# its own; hull's come from `make man`, for its binary holds nothing that a container does not need.
#
#     packaging/generate.sh hull|PROGRAM DIRECTORY [DIRECTORY OF ZSH BELOW IT]
set -euo pipefail
cd "$(dirname "$0")/.."

program=$1
root=$2
name=$(basename "$program")
bash=$root/bash-completion/completions
zsh=$root/${3:-zsh/site-functions}
fish=$root/fish/vendor_completions.d

install -d "$root/man/man1" "$bash" "$zsh" "$fish"
if [ "$program" = hull ]; then
    install -m 0644 target/man/*.1 "$root/man/man1/"
    install -m 0644 target/completions/hull.bash "$bash/hull"
    install -m 0644 target/completions/_hull "$zsh/"
    install -m 0644 target/completions/hull.fish "$fish/"
else
    "$program" generate man -o "$root/man/man1"
    "$program" generate bash >"$bash/$name"
    "$program" generate zsh >"$zsh/_$name"
    "$program" generate fish >"$fish/$name.fish"
fi
