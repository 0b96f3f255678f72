#!/bin/bash
# libFuzzer on the readers of what may come from elsewhere: SECONDS_EACH=60 Tests/Fuzz/run.sh [json ledger envelope key]
# As many at once as there are processors. The corpus grows in .build/fuzz; what is worth keeping is copied to Tests/Fuzz/corpus by
# hand. Fails where one crashes, hangs (10 s) or takes 512 MiB, and names the input that does it. BUILD=1: only builds them.
set -euo pipefail
cd "$(dirname "$0")/../.."
swift=${SWIFT:-swift}
out=.build/fuzz
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(json ledger envelope key)
compiler=$(dirname "$(command -v "$swift")")/swiftc

# One module of the readers' sources alone: the fuzzer brings a main of its own, which a package's executable can't have.
readers=(Sources/AegixSystem/*.swift Tests/Fuzz/Harness.swift
    Sources/AegixAudit/{Evidence/{Envelope,Statement},Ledger/{Ledger,LedgerEntry,LedgerLine,LedgerVerify},Record/{Labels,RecordBounds},Runs/{StateDirectory,StateFile}}.swift)
mkdir -p "$out/sources"
rm -f "$out"/sources/*.swift
for file in "${readers[@]}"; do
    # In one module there is nothing to import of our own.
    sed -E '/^import Aegix/d' "$file" >"$out/sources/$(basename "$file")"
done
for file in Sources/CAegix/*.c; do
    clang -O1 -g -D_GNU_SOURCE -I Sources/CAegix/include -c "$file" -o "$out/$(basename "$file" .c).o"
done

build() { # TARGET
    "$compiler" -O -g -swift-version 6 -parse-as-library -module-name Fuzz -sanitize=fuzzer -D "FUZZ_${1^^}" \
        -I Tests/Fuzz -I Sources/CCrypto -o "$out/$1" "$out"/sources/*.swift "$out"/*.o -lcrypto
}

# All that libFuzzer says is in the log, its counts are shown; what made it end early is kept as TARGET-crash-… and the like.
fuzz() { # TARGET
    local code=0
    mkdir -p "$out/corpus/$1"
    rm -f "$out/$1"-{crash,leak,timeout,oom}-*
    "$out/$1" -max_total_time="${SECONDS_EACH:-60}" -timeout=10 -rss_limit_mb=512 -max_len=16384 -print_final_stats=1 \
        -artifact_prefix="$out/$1-" "$out/corpus/$1" "Tests/Fuzz/corpus/$1" >"$out/$1.log" 2>&1 || code=$?
    return "$code"
}

both() { # TARGET
    build "$1" >"$out/$1.log" 2>&1 || return
    [ -n "${BUILD:-}" ] || fuzz "$1"
}

declare -A running=()
failed=()
trap 'kill "${!running[@]}" 2>/dev/null; wait' EXIT
finish() {
    local pid code=0 target inputs
    wait -n -p pid "${!running[@]}" || code=$?
    target=${running[$pid]}
    unset "running[$pid]"
    printf '\n== fuzz %s (exit %s after %s s)\n' "$target" "$code" "$SECONDS"
    if [ "$code" = 0 ]; then
        grep -aE 'stat::(number_of_executed|peak_rss)|cov: .*DONE|DONE' "$out/$target.log" || [ -n "${BUILD:-}" ]
    else
        tail -n 60 "$out/$target.log"
        inputs=$(compgen -G "$out/$target-*-*" | paste -s -d ' ') || true
        failed+=("$target: ${inputs:+again with $out/$target $inputs}")
    fi
}
for target in "${targets[@]}"; do
    [ "${#running[@]}" -lt "$(nproc)" ] || finish
    both "$target" &
    running[$!]=$target
done
while [ "${#running[@]}" -gt 0 ]; do finish; done
[ ${#failed[@]} -eq 0 ] || { printf 'FAILED: fuzz %s\n' "${failed[@]}" >&2; exit 1; }
