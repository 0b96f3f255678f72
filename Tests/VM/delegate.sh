#!/bin/bash
# In the VM, as root: runs COMMAND as the ordinary user in a subtree of cgroups that is his: Tests/VM/delegate.sh COMMAND [ARG…]
#
# It is laid out as systemd lays out a user's own manager: what /sys/kernel/cgroup/delegate lists of user@1000.service belongs
# to the user, the marks of a delegation are on it, the controllers are there, and his processes stand in the leaf `init`, so
# that he can hand the controllers on.
set -euo pipefail
[ $# -gt 0 ] || { echo "usage: $0 COMMAND [ARG…]" >&2; exit 2; }

slice=/sys/fs/cgroup/user.slice
service=$slice/user@1000.service
if [ ! -d "$service" ]; then
    mkdir -p "$service/init"
    for controller in $(cat "$slice/cgroup.controllers"); do echo "+$controller" >"$slice/cgroup.subtree_control"; done
    for group in "$service" "$service/init"; do
        chown 1000:1000 "$group"
        while read -r file; do
            [ ! -e "$group/$file" ] || chown 1000:1000 "$group/$file"
        done </sys/kernel/cgroup/delegate
    done
    /usr/bin/python3 -c 'import os, sys; [os.setxattr(sys.argv[1], kind + ".delegate", b"1") for kind in ("trusted", "user")]' "$service"
fi
echo $$ >"$service/init/cgroup.procs"

# Root's environment stays out, but for what says how to test.
kept=()
for name in PATH LANG NO_COLOR CI AEGIX_MUST_WORK AEGIX_KEEP AEGIX_SEED; do
    [ -z "${!name:-}" ] || kept+=("$name=${!name}")
done
exec setpriv --reuid 1000 --regid 1000 --clear-groups \
    env -i HOME=/home/user USER=user LOGNAME=user SHELL=/bin/bash "${kept[@]}" "$@"
