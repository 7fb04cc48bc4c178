#!/bin/bash
# Installs into a directory, compares the files with those that are meant to be there, and
# uninstalls: nothing may be left. No root is needed.
#
#     packaging/install-test.sh DECK
set -euo pipefail
cd "$(dirname "$0")/.."

deck=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export DESTDIR=$work/root

fail() {
    echo "install-test: $*" >&2
    exit 1
}

# Manual pages by the programs' own lists of commands.
expected() {
    local command
    printf '%s\n' bin/{hull,containerd-shim-hull-v2,deck,deck-rootless} \
        lib/systemd/system/deck{.service,.socket,-boot.service} lib/sysusers.d/deck.conf share/hull/installed
    for command in hull deck; do
        printf '%s\n' "share/bash-completion/completions/$command" \
            "share/zsh/site-functions/_$command" "share/fish/vendor_completions.d/$command.fish" \
            "share/man/man1/$command.1"
    done
    target/hull --help | awk '/^COMMANDS:/ {on = 1; next} /^$/ {on = 0} on && $1 != "help" {
        print "share/man/man1/hull-" $1 ".1"}'
    # Commands with commands of their own have a page for each of them as well.
    "$deck" --help | awk '/^  [a-z]/ {print "share/man/man1/deck-" $1 ".1"}'
}

packaging/install.sh install "$deck" /opt/it >"$work/log"
prefix=$DESTDIR/opt/it
(cd "$prefix" && find . -type f -printf '%P\n') | sort >"$work/found"
expected | sort >"$work/expected"
diff <(grep -v '^share/man/man1/deck-[a-z]*-' "$work/found") "$work/expected" ||
    fail "other files than meant (left: installed; right: meant)"
[ -z "$(find "$DESTDIR" -type f ! -path "$prefix/*")" ] || fail "files outside of the prefix"
for file in bin/hull bin/containerd-shim-hull-v2 bin/deck bin/deck-rootless; do
    [ "$(stat -c %a "$prefix/$file")" = 755 ] || fail "$file can't be executed by everybody"
done
[ -z "$(find "$prefix" -type f ! -path '*/bin/*' ! -perm 644)" ] || fail "modes of data"
grep -qx 'ExecStart=/opt/it/bin/deck serve -H fd://' "$prefix/lib/systemd/system/deck.service" ||
    fail "deck.service starts another deck"
! grep -rq "$work" "$prefix/lib" "$prefix/share" || fail "DESTDIR is in a file"

# Colours on a terminal only, and not where NO_COLOR is set (https://no-color.org).
on_terminal() {
    TERM=xterm script --quiet --command "'$prefix/bin/deck' check" /dev/null </dev/null || true
}
in_file() {
    "$prefix/bin/deck" check || true
}
escape=$'\033'
[[ "$(unset NO_COLOR && on_terminal)" == *$escape* ]] || fail "no colours on a terminal"
[[ "$(NO_COLOR=1 on_terminal)" != *$escape* ]] || fail "colours despite NO_COLOR"
[[ "$(unset NO_COLOR && in_file)" != *$escape* ]] || fail "colours in a file"

touch "$prefix/share/man/man1/another.1"
packaging/install.sh uninstall /opt/it >>"$work/log"
left=$(cd "$prefix" && find . -type f)
[ "$left" = ./share/man/man1/another.1 ] || fail "uninstalled, and there is: $left"
if packaging/install.sh uninstall /opt/it 2>"$work/error"; then fail "uninstalled twice"; fi
grep -q 'nothing is installed' "$work/error" || fail "its error: $(cat "$work/error")"
echo "installed $(wc -l <"$work/found") files, and took them away again"
