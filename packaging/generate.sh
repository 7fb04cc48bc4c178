#!/bin/bash
# Writes the manual pages and completions of a program below a directory such as /usr/share, if the
# program can make them: its `generate` command does.
#
#     packaging/generate.sh PROGRAM DIRECTORY
set -euo pipefail

program=$1
root=$2
name=$(basename "$program")

install -d "$root/man/man1"
"$program" generate man -o "$root/man/man1"
install -d "$root/bash-completion/completions" "$root/zsh/vendor-completions" \
    "$root/fish/vendor_completions.d"
"$program" generate bash >"$root/bash-completion/completions/$name"
"$program" generate zsh >"$root/zsh/vendor-completions/_$name"
"$program" generate fish >"$root/fish/vendor_completions.d/$name.fish"
