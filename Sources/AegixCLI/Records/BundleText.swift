// Pure but for what it is told to print. Exports and verified bundles in words, and as documents.

import AegixAudit
import AegixSystem

struct ExportText {
    let id: RunID
    let report: ExportReport
    /// nil: it went to stdout.
    let path: Bytes?
    let sigstore: Bytes?

    var document: JSON {
        [
            "schema": "aegix.export/v1", "run_id": .string(id.description), "path": path.map(JSON.bytes) ?? .null,
            "bytes": .int(Int(report.bytes)), "sha256": .string(report.digest),
            "content_bytes": .int(Int(report.contents)), "blobs": .int(report.index.blobs),
            "left_out": .array(report.index.leftOut.map(\.json)), "left_out_more": .int(report.index.leftOutMore),
            "signer": report.index.signer.map(JSON.string) ?? .null,
            "sigstore": sigstore.map(JSON.bytes) ?? .null,
        ]
    }

    func tell(_ console: Console) throws(Failure) {
        for line in BundleText.leftOut(report.index) { console.note(line) }
        guard let path else { return }
        let signed = report.index.signer.map { "signed with the key \($0)" } ?? "not signed"
        try console.print(
            """
            run \(id) is in \(path.shown): \(Units.size(Int(report.bytes))), \(signed)
            sha256  \(report.digest)
            """)
    }
}

enum BundleText {
    private static let leftOutLines = 20

    static func leftOut(_ index: BundleIndex) -> [String] {
        var lines = index.leftOut.prefix(leftOutLines).map { "left out: " + RecordText.clipped($0.words) }
        let more = max(0, index.leftOut.count - leftOutLines) + index.leftOutMore
        if more > 0 { lines.append("left out: \(more) more") }
        return lines
    }

    /// What is said of a signature, which the reader of a bundle has to judge by its key.
    static func signature(_ signature: BundleVerdict.Signature) -> String {
        let what = signature.entry == RunSigner.name ? "the record" : "the bundle"
        let kind = Bytes(signature.predicateType).shown
        if signature.holds == true { return "\(what) is signed with the key \(signature.keyID) (\(kind))" }
        return
            "\(what) has a signature of the key \(Bytes(signature.keyID).shown) (\(kind)), which isn't known here: not checked. "
            + "Name the key with --key"
    }

    static func document(_ path: Bytes, _ verdict: BundleVerdict) -> JSON {
        [
            "schema": "aegix.verify/v1", "intact": true, "bundle": .bytes(path),
            "run_id": .string(verdict.index.run.description), "files": .int(verdict.entries),
            "signer": verdict.signatures.last { $0.holds == true }.map { .string($0.keyID) } ?? .null,
            "signatures": .array(
                verdict.signatures.map {
                    [
                        "entry": .string($0.entry), "key": .string($0.keyID),
                        "holds": $0.holds.map(JSON.bool) ?? .null, "predicate_type": .string($0.predicateType),
                    ]
                }),
            "left_out": .array(verdict.index.leftOut.map(\.json)), "left_out_more": .int(verdict.index.leftOutMore),
            "faults": [],
        ]
    }

    static func document(_ path: Bytes, _ fault: BundleFault) -> JSON {
        [
            "schema": "aegix.verify/v1", "intact": false, "bundle": .bytes(path), "run_id": nil, "files": 0,
            "signer": nil, "signatures": [], "left_out": [], "left_out_more": 0,
            "faults": [
                [
                    "line": nil, "entry": fault.entry.map(JSON.string) ?? .null, "offset": .int(Int(fault.offset)),
                    "reason": .string(fault.words),
                ]
            ],
        ]
    }
}
