#!/bin/bash
# Makes another Debian than this one, with the programs that are replayed in it, and prints the directory that it lies in:
# Tests/VM/system.sh SUITE. It stays in the cache; remove it to make it anew. Needs root and debootstrap.
set -euo pipefail

die() { echo "vm: $*" >&2; exit 125; }

suite=${1:-trixie}
[ "$(id -u)" = 0 ] || die "debootstrap needs root"
command -v debootstrap >/dev/null || die "debootstrap is missing: apt-get install debootstrap"
system=${AEGIX_VM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/aegix-vm}/system-$suite
mkdir -p "$(dirname "$system")"
exec 9>"$system.lock"
flock -w 1800 9 || die "another making of $suite doesn't come to its end"
if [ ! -e "$system/.made" ]; then
    rm -rf "$system"
    archive=$(apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' 'Created-By: Packages' |
        sed -n 's/^Debian|Debian|//p' | sort -u | head -n 1)
    [ -n "$archive" ] || die "apt knows no Debian archive. Is one among its sources, and was it updated: apt-get update?"
    debootstrap --variant=minbase --include=python3,python3-pytest,gcc,make,libc6-dev,nodejs "$suite" "$system" "$archive" >&2 ||
        die "can't make a Debian $suite"
    touch "$system/.made"
fi
echo "$system"
