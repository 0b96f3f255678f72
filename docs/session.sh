#!/bin/bash
# Writes the session of README.md anew, by running it: docs/session.sh, after `make release`.
# Each command's output is what it printed; nothing is edited but the path of the scratch directory.
set -euo pipefail
cd "$(dirname "$0")/.."

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/bin" "$scratch/project"
ln -s "$PWD/dist/aegix" "$scratch/bin/aegix"
export PATH=$scratch/bin:$PATH AEGIX_STATE=$scratch/state

type() {
    printf '    $ %s\n' "$1"
    (cd "$scratch/project" && bash -c "$1" 2>&1 || true) | sed "s|$scratch|/home/me|g; s/^/    /; s/ *$//"
}

echo "hello" >"$scratch/project/notes.txt"
{
    echo '<!-- session -->'
    type 'aegix --cmd "echo changed > notes.txt; cat notes.txt"'
    type 'cat notes.txt'
    type 'aegix review last'
    type 'aegix --cmd "cat /etc/shadow; ls /home; cat /proc/net/route"'
    type 'aegix --timeout 1s -- sleep 60; echo "exit code $?"'
    type 'aegix why last'
    type 'aegix show last'
    type 'aegix history'
    echo '<!-- /session -->'
} >"$scratch/session"

sed -e "/<!-- session -->/,/<!-- \/session -->/{/<!-- \/session -->/r $scratch/session" -e 'd}' README.md >"$scratch/README.md"
cp "$scratch/README.md" README.md
