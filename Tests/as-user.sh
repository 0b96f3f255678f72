#!/bin/bash
# Runs COMMAND as an ordinary user: Tests/as-user.sh COMMAND [ARG…]
#
# Started by an ordinary user it just runs it. Started by root it makes a user with a home of its own, runs it as that
# user, and removes both. A process of that user that is still there at the end is a leak, and an error.
set -euo pipefail

[ $# -gt 0 ] || { echo "usage: $0 COMMAND [ARG…]" >&2; exit 2; }
[ "$(id -u)" = 0 ] || exec "$@"

user=aegix-test-$$
home=$(mktemp -d "${TMPDIR:-/tmp}/aegix-test.XXXXXX")

# Zombies aren't counted: they wait for the machine's pid 1, which in a container may be no reaper.
running() { { ps -u "$user" -o pid=,stat=,args= || true; } | awk '$2 !~ /^Z/'; }

remove() {
    local code=$? left
    trap - EXIT INT TERM HUP
    left=$(running)
    if [ -n "$left" ]; then
        printf 'left running by %s:\n%s\n' "$user" "$left" >&2
        pkill -KILL -u "$user" || true
        for _ in 1 2 3 4 5 6 7 8 9 10; do [ -n "$(running)" ] || break; sleep 0.1; done
        [ "$code" != 0 ] || code=1
    fi
    userdel "$user" >/dev/null 2>&1 || echo "can't remove the user $user" >&2
    [ -n "${AEGIX_KEEP:-}" ] || rm -rf --one-file-system "$home"
    exit "$code"
}
trap remove EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

useradd --no-create-home --home-dir "$home" --shell /bin/bash --user-group "$user"
mkdir -p "$home/.cache" "$home/tmp"
chown -R "$user:$user" "$home"
chmod 700 "$home"

# Root's environment stays out, but for what says how to test.
kept=()
for name in PATH LANG TERM NO_COLOR CI AEGIX_MUST_WORK AEGIX_KEEP AEGIX_BINARY LD_LIBRARY_PATH; do
    [ -z "${!name:-}" ] || kept+=("$name=${!name}")
done
runuser -u "$user" -- env -i HOME="$home" USER="$user" LOGNAME="$user" SHELL=/bin/bash TMPDIR="$home/tmp" "${kept[@]}" "$@"
