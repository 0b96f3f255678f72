#!/bin/bash
# libFuzzer on the readers of what may come from elsewhere: SECONDS_EACH=60 Tests/Fuzz/run.sh [json ledger envelope key bundle frame record policy inputs]
# As many at once as there are processors. The corpus grows in .build/fuzz; what is worth keeping is copied to Tests/Fuzz/corpus by
# hand. Fails where one crashes, hangs (10 s) or takes 512 MiB, and names the input that does it. BUILD=1: only builds them. SEED=1: the same
# inputs each time, from the corpus of the checkout alone, so that a change is judged by what it changed.
set -euo pipefail
cd "$(dirname "$0")/../.."
swift=${SWIFT:-swift}
out=.build/fuzz
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(json ledger envelope key bundle frame record policy inputs)
compiler=$(dirname "$(command -v "$swift")")/swiftc

# One module of the readers' sources alone, and one program, which is told by a variable what to read: the fuzzer brings a main of its own, which
# a package's executable can't have.
readers=(Sources/AegixSystem/*.swift Sources/AegixPolicy/*.swift Sources/AegixPolicy/*/*.swift Tests/Fuzz/Harness.swift
    Sources/AegixAudit/{Evidence/{Envelope,Provenance,Statement},Ledger/{Ledger,LedgerEntry,LedgerLine,LedgerVerify},Record/{Labels,Manifest,RecordBounds},Runs/{StateDirectory,StateFile}}.swift
    Sources/AegixAudit/Bundle/{BlobTable,BundleCheck,BundleFrame,BundleHeader,BundleIndex,BundleLines,BundleName,BundleParser}.swift
    Sources/AegixWorkspace/{Changes/{Change,ChangeJSON},Inputs/{Input,InputJSON},Artifacts/Artifact}.swift
    Sources/AegixCLI/Records/{ArtifactText,InputText,ProcessTree,RecordText}.swift)
rm -rf "$out"/{sources,objects}
mkdir -p "$out"/{sources,objects,CTOML}
for file in "${readers[@]}"; do
    # In one module there is nothing to import of our own, and two files may have one name.
    sed -E '/^import Aegix/d' "$file" >"$out/sources/$(tr / - <<<"${file#Sources/}")"
done
# SwiftPM makes this for the package.
printf 'module CTOML { header "%s" export * }\n' "$PWD/Sources/CTOML/include/ctoml.h" >"$out/CTOML/module.modulemap"
clang++ -std=c++17 -O1 -g -I Sources/CTOML/include -c Sources/CTOML/toml.cpp -o "$out/objects/toml.o"
for file in Sources/CAegix/*.c; do
    clang -O1 -g -D_GNU_SOURCE -I Sources/CAegix/include -c "$file" -o "$out/objects/$(basename "$file").o"
done
"$compiler" -O -g -swift-version 6 -parse-as-library -module-name Fuzz -sanitize=fuzzer -I Tests/Fuzz -I "$out/CTOML" \
    -I Sources/CCrypto -I Sources/CZstd -I Sources/CCap -o "$out/fuzz" "$out"/sources/*.swift "$out"/objects/*.o \
    -lcrypto -lzstd -lcap -lstdc++
[ -z "${BUILD:-}" ] || exit 0

# All that libFuzzer says is in the log, its counts are shown; what made it end early is kept as TARGET-crash-… and the like. Swift's own words on
# a crash would come before libFuzzer's, and ask for a debugger.
fuzz() { # TARGET
    local code=0 longest=16384
    [ "$1" != bundle ] || longest=65536
    local corpus=$out/corpus/$1
    [ -z "${SEED:-}" ] || { corpus=$out/seeded/$1; rm -rf "$corpus"; }
    mkdir -p "$corpus"
    rm -f "$out/$1"-{crash,leak,timeout,oom}-*
    AEGIX_FUZZ=$1 SWIFT_BACKTRACE=enable=no "$out/fuzz" -seed="${SEED:-0}" -max_total_time="${SECONDS_EACH:-60}" -timeout=10 -rss_limit_mb=512 \
        -max_len="$longest" -print_final_stats=1 -artifact_prefix="$out/$1-" "$corpus" "Tests/Fuzz/corpus/$1" \
        </dev/null >"$out/$1.log" 2>&1 || code=$?
    return "$code"
}

declare -A running=()
failed=()
trap '[ ${#running[@]} = 0 ] || kill "${!running[@]}" 2>/dev/null || true; wait' EXIT
finish() {
    local pid code=0 target inputs
    wait -n -p pid "${!running[@]}" || code=$?
    target=${running[$pid]}
    unset "running[$pid]"
    printf '\n== fuzz %s (exit %s after %s s)\n' "$target" "$code" "$SECONDS"
    if [ "$code" = 0 ]; then
        grep -aE 'stat::(number_of_executed|peak_rss)|cov: .*DONE|DONE' "$out/$target.log"
    else
        tail -n 60 "$out/$target.log"
        inputs=$(compgen -G "$out/$target-*-*" | paste -s -d ' ') || true
        failed+=("$target: ${inputs:+again with AEGIX_FUZZ=$target $out/fuzz $inputs}")
    fi
}
for target in "${targets[@]}"; do
    [ "${#running[@]}" -lt "$(nproc)" ] || finish
    fuzz "$target" &
    running[$!]=$target
done
while [ "${#running[@]}" -gt 0 ]; do finish; done
[ ${#failed[@]} -eq 0 ] || { printf 'FAILED: fuzz %s\n' "${failed[@]}" >&2; exit 1; }
