#!/bin/bash
# `make install` into a directory: the files are those that are meant to be there, and nothing is left
# when they are uninstalled. No root is needed.
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

# What has to be built is there: the caller's target needs the same.
make install -o build -o shim-build -o deck-static -o man INSTALL_DECK="$deck" PREFIX=/opt/it >"$work/log"
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

# Every program's and command's help has an example.
has_example() {
    (cd "$prefix/bin" && "./$@" --help) | grep -Eq '^(EXAMPLE:$|Example: )' || fail "$* --help has no example"
}
for program in hull containerd-shim-hull-v2 deck; do has_example "$program"; done
# The words that begin the lines of a program's list of commands.
commands() {
    "$1" --help | awk '/^COMMANDS:|^Commands:/ {on = 1; next} /^$/ {on = 0} on && $1 != "help" {print $1}'
}
for program in hull deck; do
    for command in $(commands "$prefix/bin/$program"); do has_example "$program" "$command"; done
done

commit=$(sed -n 's/^commit: //p' <("$prefix/bin/hull" --version))
[ "$commit" = "$(packaging/commit.sh runtime)" ] || fail "hull --version says it is of $commit"

# Colours and bars on a terminal only, and not where NO_COLOR is set (https://no-color.org).
on_terminal() {
    TERM=xterm script --quiet --command "'$prefix/bin/deck' $*" /dev/null </dev/null || true
}
in_file() {
    "$prefix/bin/deck" "$@" || true
}
escape=$'\033'
[[ "$(unset NO_COLOR && on_terminal check)" == *$escape* ]] || fail "no colours on a terminal"
[[ "$(NO_COLOR=1 on_terminal check)" != *$escape* ]] || fail "colours despite NO_COLOR"
[[ "$(unset NO_COLOR && in_file check)" != *$escape* ]] || fail "colours in a file"

# An image of three megabytes, which are more than one step of a bar. Images keep their files' owners,
# which takes root.
if [ "$(id -u)" -eq 0 ]; then
    export DECK_DATA_ROOT=$work/data DECK_EXEC_ROOT=$work/exec DECK_CONFIG_ROOT=$work/config
    mkdir "$work/image"
    head -c 3000000 /dev/urandom >"$work/image/file"
    tar -C "$work/image" -cf "$work/image.tar" .
    in_file import "$work/image.tar" bars:1 >"$work/log"
    in_file save -o "$work/saved.tar" bars:1
    load() {
        in_file rmi bars:1 >"$work/log"
        "$@" load --input "$work/saved.tar"
    }
    bars=$(unset NO_COLOR && load on_terminal)
    [[ "$bars" == *"Loading layer ["*"] "*" MB/3.0"?" MB"*$escape* ]] || fail "no bars on a terminal: $bars"
    [[ "$bars" != *0/0* ]] || fail "a bar before anything is known: $bars"
    [[ "$(NO_COLOR=1 load on_terminal)" == $'Loaded image: bars:1\r' ]] || fail "bars despite NO_COLOR"
    [ "$(unset NO_COLOR && load in_file)" = 'Loaded image: bars:1' ] || fail "bars in a file"
    in_file rmi bars:1 >"$work/log"
fi

touch "$prefix/share/man/man1/another.1"
make uninstall PREFIX=/opt/it >>"$work/log"
left=$(cd "$prefix" && find . -type f)
[ "$left" = ./share/man/man1/another.1 ] || fail "uninstalled, and there is: $left"
if make uninstall PREFIX=/opt/it >>"$work/log" 2>"$work/error"; then fail "uninstalled twice"; fi
grep -q 'nothing is installed' "$work/error" || fail "its error: $(cat "$work/error")"
echo "installed $(wc -l <"$work/found") files, and took them away again"
