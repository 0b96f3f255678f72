#!/bin/bash
# libFuzzer on the readers of what may come from elsewhere: SECONDS_EACH=60 Tests/Fuzz/run.sh [json ledger envelope key bundle frame record policy inputs]
# The corpus grows in .build/fuzz; what is worth keeping is copied to Tests/Fuzz/corpus by hand. Fails where one crashes, hangs
# (10 s) or takes 512 MiB.
set -euo pipefail
cd "$(dirname "$0")/../.."
swift=${SWIFT:-swift}
out=.build/fuzz
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(json ledger envelope key bundle frame record policy inputs)
compiler=$(dirname "$(command -v "$swift")")/swiftc

# One module of the readers' sources alone: the fuzzer brings a main of its own, which a package's executable can't have.
readers=(Sources/AegixSystem/*.swift Tests/Fuzz/Harness.swift
    Sources/AegixAudit/{Evidence/{Envelope,Provenance,Statement},Ledger/{Ledger,LedgerEntry,LedgerLine,LedgerVerify},Record/{Labels,Manifest,RecordBounds},Runs/{StateDirectory,StateFile}}.swift
    Sources/AegixAudit/Bundle/{BlobTable,BundleCheck,BundleFrame,BundleHeader,BundleIndex,BundleLines,BundleName,BundleParser}.swift
    Sources/AegixWorkspace/{Changes/{Change,ChangeJSON},Inputs/{Input,InputJSON}}.swift)
record=(Sources/AegixCLI/Records/{ArtifactText,InputText,ProcessTree,RecordText}.swift Sources/AegixWorkspace/Artifacts/Artifact.swift)
policy=(Sources/AegixPolicy/*.swift Sources/AegixPolicy/*/*.swift)
rm -f "$out"/*.o
mkdir -p "$out"/{sources,more-record,more-policy,CTOML}
rm -f "$out"/{sources,more-record,more-policy}/*.swift
copy() { # INTO FILE…
    local into=$1 file
    for file in "${@:2}"; do
        # In one module there is nothing to import of our own.
        sed -E '/^import Aegix/d' "$file" >"$out/$into/$(basename "$file")"
    done
}
copy sources "${readers[@]}"
copy more-record "${record[@]}"
copy more-policy "${policy[@]}"
# SwiftPM makes this for the package.
printf 'module CTOML { header "%s" export * }\n' "$PWD/Sources/CTOML/include/ctoml.h" >"$out/CTOML/module.modulemap"
clang++ -std=c++17 -O1 -g -I Sources/CTOML/include -c Sources/CTOML/toml.cpp -o "$out/toml.cpp.o"
for file in Sources/CAegix/*.c; do
    clang -O1 -g -D_GNU_SOURCE -I Sources/CAegix/include -c "$file" -o "$out/$(basename "$file").o"
done
for target in "${targets[@]}"; do
    more=()
    case $target in
    record) more=("$out"/more-record/*.swift) ;;
    policy) more=("$out"/more-policy/*.swift "$out/toml.cpp.o" -I "$out/CTOML" -I Sources/CCap -lcap -lstdc++) ;;
    esac
    "$compiler" -O -g -swift-version 6 -parse-as-library -module-name Fuzz -sanitize=fuzzer -D "FUZZ_${target^^}" \
        -I Tests/Fuzz -I Sources/CCrypto -I Sources/CZstd -o "$out/$target.fuzz" "$out"/sources/*.swift "${more[@]}" "$out"/*.c.o -lcrypto -lzstd
    mkdir -p "$out/corpus/$target"
    printf '\n== fuzz %s, %s s\n' "$target" "${SECONDS_EACH:=60}"
    SWIFT_BACKTRACE=enable=no "$out/$target.fuzz" -max_total_time="$SECONDS_EACH" -timeout=10 -rss_limit_mb=512 -max_len="$([ "$target" = bundle ] && echo 65536 || echo 16384)" -print_final_stats=1 \
        -artifact_prefix="$out/$target-" "$out/corpus/$target" "Tests/Fuzz/corpus/$target" 2>&1 |
        grep -E 'ERROR|SUMMARY|Fatal|precondition|stat::(number_of_executed|peak_rss)|cov: .*DONE|DONE'
done
