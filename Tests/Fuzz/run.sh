#!/bin/bash
# libFuzzer on the readers of what may come from elsewhere: SECONDS_EACH=60 Tests/Fuzz/run.sh [json ledger envelope key]
# The corpus grows in .build/fuzz; what is worth keeping is copied to Tests/Fuzz/corpus by hand. Fails where one crashes, hangs
# (10 s) or takes 512 MiB.
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
for target in "${targets[@]}"; do
    "$compiler" -O -g -swift-version 6 -parse-as-library -module-name Fuzz -sanitize=fuzzer -D "FUZZ_${target^^}" \
        -I Tests/Fuzz -I Sources/CCrypto -o "$out/$target" "$out"/sources/*.swift "$out"/*.o -lcrypto
    mkdir -p "$out/corpus/$target"
    printf '\n== fuzz %s, %s s\n' "$target" "${SECONDS_EACH:=60}"
    "$out/$target" -max_total_time="$SECONDS_EACH" -timeout=10 -rss_limit_mb=512 -max_len=16384 -print_final_stats=1 \
        -artifact_prefix="$out/$target-" "$out/corpus/$target" "Tests/Fuzz/corpus/$target" 2>&1 |
        grep -E 'ERROR|SUMMARY|Fatal|precondition|stat::(number_of_executed|peak_rss)|cov: .*DONE|DONE'
done
