#!/bin/bash
# Builds the documentation as a book with mdbook.
#
#     docs/book.sh target/book
#
# Pages link to files above docs/ (README.md and its like), as those who read them in the repository
# expect; mdbook takes pages from one directory. So they are laid out as they are here, and the
# summary moves up a level.
set -euo pipefail

out=$(realpath -m "$1")
cd "$(dirname "$0")/.."
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT

mkdir -p "$stage/src/docs"
cp -- *.md LICENSE "$stage/src/"
(cd docs && find . -name '*.md' -o -name '*.svg' -o -name '*.json' -o -name '*.html') |
    while read -r file; do
        install -D -m 0644 "docs/$file" "$stage/src/docs/$file"
    done
# Files of the repository that pages link to.
grep -hoE '\]\(\.\./[^)#]+' docs/*.md | cut -c 6- | sort -u | while read -r file; do
    [ -d "$file" ] || [[ $file == *.md ]] || install -D -m 0644 "$file" "$stage/src/$file"
done
mv "$stage/src/docs/SUMMARY.md" "$stage/summary"
cp docs/book.toml "$stage/"

# mdbook makes index.html of a README.md, and leaves links to it alone.
find "$stage" -name README.md -execdir mv README.md index.md \;
find "$stage" \( -name '*.md' -o -name summary \) \
    -exec sed -i 's,](\([^):]*/\)*README\.md,](\1index.md,g' {} +

summary=$stage/src/SUMMARY.md
sed -e 's|](|](docs/|' -e 's|](docs/\.\./|](|' "$stage/summary" >"$summary"
# mdbook passes over pages that are not in the summary: what was forgotten comes last.
(cd "$stage/src" && find docs -name '*.md' | sort) | while read -r page; do
    grep -qF "]($page)" "$summary" || echo "- [$(sed -n 's/^# //p;/^# /q' "$stage/src/$page")]($page)"
done >"$stage/rest"
if [ -s "$stage/rest" ]; then
    printf '\n# Further\n\n' >>"$summary"
    cat "$stage/rest" >>"$summary"
fi
# Links to folders and to what is no page lead to the repository only.
mdbook build --dest-dir "$out" "$stage"
echo "$out/index.html"
