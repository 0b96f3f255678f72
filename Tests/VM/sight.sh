#!/bin/bash
# In the VM, at its end: what Yama's ptrace_scope takes from the supervisor: Tests/VM/sight.sh AEGIX [COMMAND…]. COMMAND makes the
# caller of aegix from root. Needs root itself, and leaves the scope at 3, from which it can't be lowered.
set -uo pipefail

aegix=$1
as=("${@:2}")
scope=/proc/sys/kernel/yama/ptrace_scope
[ -e "$scope" ] || { echo "sight: this kernel has no Yama" >&2; exit 1; }
place=$(mktemp -d /var/tmp/sight.XXXXXX)
chmod 777 "$place"
"${as[@]}" mkdir "$place/workspace"
printf 'version = 1\n[[commands.rule]]\nargv = ["id", "**"]\ndecision = "deny"\n' >"$place/rules.toml"
printf 'version = 1\n' >"$place/plain.toml"
failed=0

# try SCOPE POLICY EXIT WORDS: the run ends so, and stdout or stderr has the words.
try() {
    local said code=0
    echo "$1" >"$scope"
    said=$("${as[@]}" "$aegix" --state-dir "$place/state" --policy "$place/$2.toml" --workspace "$place/workspace" \
        --record "$place/record.json" --cmd 'env id; env echo after' 2>&1) || code=$?
    if [ "$code" = "$3" ] && [[ $said == *"$4"* ]]; then
        echo "sight: $1 $2: as it should be"
    else
        echo "sight: $1 $2: exit $code, not $3; \"$4\" isn't in: $said"
        failed=1
    fi
}

for at in 0 1 2; do
    try "$at" plain 0 after
    # Each is listed: sh, two of env, and what they became.
    [ "$("${as[@]}" grep -o '"program":' "$place/record.json" | wc -l)" -ge 5 ] || { echo "sight: $at: execs are missing"; failed=1; }
    rm -f "$place/record.json"
    try "$at" rules 0 "Permission denied"
done
try 3 plain 125 "kernel.yama.ptrace_scope is 3"
try 3 rules 125 "kernel.yama.ptrace_scope is 3"
said=$("${as[@]}" "$aegix" doctor --state-dir "$place/state") && { echo "sight: the doctor finds nothing"; failed=1; }
grep -A2 'have not *looking into a sandbox' <<<"$said" | grep -q 'ptrace_scope=2' ||
    { echo "sight: the doctor doesn't say it: $said"; failed=1; }
rm -rf "$place"
exit $failed
