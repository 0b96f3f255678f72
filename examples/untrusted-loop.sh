#!/bin/bash
# Runs every script that a list names, each in a sandbox of its own, and says what each came to.
#
#     ls submissions/*.sh | examples/untrusted-loop.sh
#
# The loop's list is on stdin, and aegix leaves it there: a command that doesn't read takes nothing of it. A script that
# may read gets an input of its own. Without a list two scripts are made up, one of them hostile.
set -euo pipefail

aegix=${AEGIX:-aegix}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

if [ -t 0 ] || ! IFS= read -r first; then
    printf 'echo "six by seven is $((6 * 7))"\n' >"$scratch/good.sh"
    # shellcheck disable=SC2016
    printf 'echo gone > "$PWD/victim"; cat /etc/shadow; sleep 60\n' >"$scratch/hostile.sh"
    printf 'head -c 20; echo\n' >"$scratch/reader.sh"
    echo untouched >"$scratch/victim"
    exec <<<"$scratch/hostile.sh
$scratch/reader.sh
$scratch/good.sh"
    IFS= read -r first
fi

ran=0
script=$first
while true; do
    code=0
    # A workspace of its own, read-only by nature: what a script writes stays in its layer.
    printf 'input of its own\n' |
        "$aegix" --quiet --timeout 2s --workspace "$scratch" --read "$script" --label "script=${script##*/}" \
            --script "$script" >"$scratch/out" 2>"$scratch/err" || code=$?
    case $code in
    0) words=passed ;;
    124) words="took too long" ;;
    125) words="didn't run: $(head -n 1 "$scratch/err")" ;;
    *) words="failed with $code" ;;
    esac
    printf '%-12s %-14s %s\n' "${script##*/}" "$words" "$(head -n 1 "$scratch/out")"
    ran=$((ran + 1))

    # stdin is the list: aegix with nothing to read must leave all of it.
    "$aegix" --quiet --workspace "$scratch" -- true
    IFS= read -r script || break
done

if [ -e "$scratch/victim" ]; then
    [ "$(cat "$scratch/victim")" = untouched ] || { echo "a script wrote outside its sandbox" >&2; exit 1; }
    [ "$ran" = 3 ] || { echo "the list was eaten: $ran of 3 ran" >&2; exit 1; }
fi
