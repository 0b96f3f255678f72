#!/bin/bash
# Limits, tiers and the conformance cases on kernels of their own, as root and as a user with a delegated subtree of cgroups:
# `make test-vm` calls it. KERNELS="6.12 newest" chooses kernels; all three are the default. PARTS=limits leaves the conformance cases
# out, which take a quarter of an hour for each kernel and user. PARTS=replay replays what was recorded here under each kernel and on another
# distribution; it needs root, for debootstrap.
# Goes through all parts, fails at the end if one failed; the closing lines are the counts.
set -uo pipefail
cd "$(dirname "$0")/../.."

read -r -a kernels <<<"${KERNELS:-6.1 6.12 newest}"
logs=$PWD/.build/test-logs
mkdir -p "$logs"
# A VM has two processors and seldom needs more than one.
at_once=$(nproc)

if [ "${PARTS:-all}" = replay ]; then
    for kernel in "${kernels[@]}"; do
        printf '\n== kernel %s\n' "$kernel"
        Tests/VM/replay.py --kernel "$kernel" || exit 1
    done
    exit
fi

names=()
declare -A running=() codes=()
# The VMs end with us; each removes what is its own.
trap 'kill "${!running[@]}" 2>/dev/null; wait' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

# The kernels first, one after the other: what can't be had is said at once.
for kernel in "${kernels[@]}"; do
    directory=$(Tests/VM/kernel.sh "$kernel") || exit 1
    echo "kernel $kernel is Linux $(cat "$directory/release")"
done

# Waits for one of those that run, and prints what it had to say.
finish() {
    local pid code=0 name
    wait -n -p pid "${!running[@]}" || code=$?
    name=${running[$pid]}
    unset "running[$pid]"
    codes[$name]=$code
    printf '\n== %s (exit %s after %s s)\n' "$name" "$code" "$SECONDS"
    cat "$logs/vm-${name// /-}.log"
}

for kernel in "${kernels[@]}"; do
    for who in root user; do
        [ "${#running[@]}" -lt "$at_once" ] || finish
        name="$kernel $who"
        names+=("$name")
        AEGIX_VM_TIMEOUT=${AEGIX_VM_TIMEOUT:-2400} Tests/VM/vm.sh --kernel "$kernel" "Tests/VM/suite.sh $who ${PARTS:-all}" \
            </dev/null >"$logs/vm-${name// /-}.log" 2>&1 &
        running[$!]=$name
        echo "started $name; its output goes to $logs/vm-${name// /-}.log"
    done
done
while [ "${#running[@]}" -gt 0 ]; do finish; done

printf '\n'
failed=0
for name in "${names[@]}"; do
    counts=$(grep -aE '^[1-9][0-9]* passed, [0-9]+ failed' "$logs/vm-${name// /-}.log" | paste -s -d ';')
    # A part without a count didn't come to its end.
    wanted='*passed*passed*'
    [ "${PARTS:-all}" != limits ] || wanted='*passed*'
    # shellcheck disable=SC2053
    [[ $counts == $wanted ]] || counts="${counts:-no count of cases}; it didn't come to its end"
    [[ ${codes[$name]} == 0 && $counts == $wanted ]] || { counts+=" FAILED"; failed=1; }
    printf 'kernel %s: %s\n' "$name" "$counts"
done
exit $failed
