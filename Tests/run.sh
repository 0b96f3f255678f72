#!/bin/bash
# All tests of what has been built: `make test` calls it. Started by root it runs them as root and as an ordinary user.
# Goes through all parts, fails at the end if one failed; the closing lines are the counts.
# FILTER=REGEX runs only the tests that match, and no conformance cases.
set -uo pipefail
cd "$(dirname "$0")/.."

root=$PWD
export AEGIX_BINARY="$root/dist/aegix" AEGIX_PEERS="$root/.build/peers" NO_COLOR=1
swift=${SWIFT:-swift}
python=${PYTHON:-/usr/bin/python3}
logs=$root/.build/test-logs
mkdir -p "$logs"
failed=()
summaries=()

# part NAME COMMAND [ARG…]: the output goes to the terminal and to a log, the last line of counts to the summary.
part() {
    local name=$1 log="$logs/${1// /-}.log" began=$SECONDS counts wrong
    shift
    printf '\n== %s\n' "$name"
    "$@" </dev/null 2>&1 | tee "$log" || failed+=("$name")
    counts=$(grep -aE 'Test run with [1-9][0-9]* tests?|^[1-9][0-9]* passed, [0-9]+ failed' "$log" | tail -n 1)
    if [ -z "$counts" ]; then
        counts="no count of tests: it didn't come to its end"
        [[ " ${failed[*]-} " == *" $name "* ]] || failed+=("$name")
    fi
    # What went wrong is told again at the end, where a long log is read first.
    mapfile -t wrong < <(grep -aE '^✘ Test .* (recorded an issue|failed)| FAILED|^seed [0-9]+:' "$log" | cut -c1-300 | head -n 5)
    summaries+=("$name ($((SECONDS - began)) s):" ${wrong[@]+"${wrong[@]}"} "$counts")
}

# beside NAME COMMAND [ARG…]: started, and told of by the next `part NAME joined`.
beside() {
    aside="$logs/${1// /-}.aside"
    shift
    {
        began=$SECONDS
        "$@" </dev/null >"$aside" 2>&1
        echo $? >"$aside.code"
        echo "took $((SECONDS - began)) s" >>"$aside"
    } &
    aside_pid=$!
}

# In a pipeline, which can't wait for what its shell has started.
joined() {
    tail --pid="$aside_pid" -f /dev/null
    cat "$aside"
    return "$(cat "$aside.code")"
}

# The bundle of tests, run directly as a user: `swift test` would write into .build.
bundle=$(find .build/debug/ -maxdepth 1 -name '*.xctest' | head -n 1)
user_root=$root
user_libraries=
stage=
trap '[ -z "$stage" ] || rm -rf --one-file-system "$stage"' EXIT

# An ordinary user may be unable to read a checkout under /root, or a toolchain there: then it works on copies.
stage_for_user() {
    local libraries
    libraries=$(ldd "$bundle" | sed -nE 's/.* => (.*)\/libTesting\.so .*/\1/p')
    if Tests/as-user.sh test -r "$root/Makefile" -a -r "$root/$bundle" -a -x "$root/dist/aegix" 2>/dev/null &&
        { [ -z "$libraries" ] || Tests/as-user.sh test -r "$libraries/libTesting.so"; }; then
        return
    fi
    stage=$(mktemp -d /tmp/aegix-checkout.XXXXXX)
    user_root=$stage/checkout
    mkdir "$user_root"
    git ls-files -z | xargs -0 cp --parents -t "$user_root"
    cp --parents "$bundle" dist/aegix "$user_root"
    cp -r .build/peers "$user_root/.build/"
    if [ -n "$libraries" ]; then
        user_libraries=$stage/libraries
        mkdir "$user_libraries"
        cp "$libraries"/*.so "$user_libraries"
    fi
    chmod -R a+rX "$stage"
}

as_user() (
    cd "$user_root" || exit 1
    export AEGIX_BINARY="$user_root/dist/aegix" AEGIX_PEERS="$user_root/.build/peers"
    [ -z "$user_libraries" ] || export LD_LIBRARY_PATH="$user_libraries"
    "$root/Tests/as-user.sh" "$@"
)

if [ "$(id -u)" = 0 ]; then
    stage_for_user
    # The runner makes a user of its own and tries each case as both, at once where that changes nothing.
    [ -n "${FILTER:-}" ] || part "conformance" "$python" Tests/Conformance/run.py --aegix dist/aegix
    if [ -z "${FILTER:-}" ]; then
        # The same scripts every time: a failure is of the change that is tested. No time counts in them: both at once.
        beside "random edits as a user" as_user "$python" Tests/Conformance/property.py --aegix dist/aegix --seed 1 --seeds 500
        part "random edits as root" "$python" Tests/Conformance/property.py --aegix dist/aegix --links --seed 1 --seeds 500
        part "random edits as a user" joined
    fi
    # Most of their time is waited; what they measure has room for another beside it.
    beside "tests as a user" as_user "$bundle" --testing-library swift-testing ${FILTER:+--filter "$FILTER"}
    part "tests as root" "$swift" test --skip-build --disable-xctest ${FILTER:+--filter "$FILTER"}
    part "tests as a user" joined
else
    if [ -z "${FILTER:-}" ]; then
        part "conformance" "$python" Tests/Conformance/run.py --aegix dist/aegix
        part "random edits" "$python" Tests/Conformance/property.py --aegix dist/aegix --seed 1 --seeds 1000
    fi
    part "tests" "$swift" test --skip-build --disable-xctest ${FILTER:+--filter "$FILTER"}
fi

printf '\n'
printf '%s\n' "${summaries[@]}"
if [ ${#failed[@]} -gt 0 ]; then
    printf 'FAILED: %s\n' "${failed[@]}" >&2
    exit 1
fi
