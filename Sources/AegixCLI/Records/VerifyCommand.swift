// Side effects: reads the state directory and public keys, writes to the console.

import AegixAudit
import AegixSystem

/// `aegix verify`.
public enum VerifyCommand: Command {
    public static let name = "verify"
    public static let summary = "check that a run's files, a bundle or the ledger are as they were written"
    public static let usage = [
        "verify RUN [--key FILE]… [--state-dir DIR] [--json]",
        "verify BUNDLE [--key FILE]… [--json]",
        "verify --ledger [--head SEQ:HASH]… [--key FILE]… [--state-dir DIR] [--json]",
    ]
    public static let details = """
        With RUN: the ledger's entry of the run's end names the record and the manifest, and the manifest names every other \
        file, so that a changed byte in any of them shows. Where the record was signed, the signature is checked.

        With BUNDLE, a path with a slash or one that ends in .aegix: each byte of the file has to be the one that its own lists \
        name, as `aegix export` wrote it. Nothing is unpacked to disk, and no state directory is needed. A signature whose key isn't \
        known here is told, and not checked; with --key the bundle has to be signed with one of these.

        With --ledger: each entry is chained to the one before; the first line that doesn't hold is named. That the newest \
        entries were cut off shows by the signed head, which a run with `audit.sign` leaves, by --head, and by records that the ledger \
        doesn't tell of.

        It exits with 0 if all of that holds, and with 1 if not. `docs/evidence.md` says what may be concluded from it.
        """
    public static let options = [
        Option("ledger", help: "Check the ledger instead of a run."),
        Option(
            "head", "SEQ:HASH", repeatable: true,
            help: """
                Hold the ledger to have this entry, as an earlier `aegix verify --ledger` printed it and you kept it. Can be given \
                more than once.
                """),
        Option(
            "key", "FILE", repeatable: true, completes: .file,
            help: """
                Trust this public key (PEM), and no other. Default: the keys in `keys/` of the state directory, which whoever can \
                write there may have put there. Can be given more than once.
                """),
        Option.recordState,
    ]

    public static func run(_ arguments: Arguments, _ console: Console) throws(Failure) -> Int32 {
        let isLedger = arguments.flag("ledger")
        let operands = isLedger ? try arguments.operands() : try arguments.operands("RUN")
        let heads = try arguments.values("head").map { word throws(Failure) in
            guard isLedger else { throw Failure("usage.value", "--head goes with --ledger") }
            guard let head = word.text.flatMap({ LedgerHead($0) }) else {
                throw Failure("usage.value", "--head can't be \(word.shown): write SEQ:HASH, as --ledger prints it")
            }
            return head
        }
        let named = try arguments.values("key").map { path throws(Failure) in try SigningKeyFile.readPublic(path) }
        let path = try StateLocation.current(option: arguments.value("state-dir"))
        if !isLedger, BundleReader.isPath(operands[0]) {
            return try tell(operands[0], named, stateAt: path, console)
        }
        guard let state = try RecordState.open(at: path, console) else {
            throw Failure("run.unknown", "no run was ever recorded in \(path.shown)", exitCode: 1)
        }
        let keys = named.isEmpty ? try state.publicKeys() : named
        if isLedger { return try tell(try state.verifyLedger(heads: heads, keys: keys), console) }
        guard let text = operands[0].text else { throw Failure("run.unknown", "there is no run \(operands[0].shown)") }
        let id = try state.find(text, from: RecordState.currentDirectory())
        return try tell(try state.verify(id, keys: keys), id, console)
    }

    private static func tell(
        _ bundle: Bytes, _ named: [VerifyingKey], stateAt path: Bytes, _ console: Console
    ) throws(Failure) -> Int32 {
        let keys = named.isEmpty ? knownKeys(path, console) : named
        let reader: BundleReader
        do throws(Failure) { reader = try BundleReader(bundle) } catch {
            throw Failure(error.code, error.message, errno: error.errno, exitCode: 1)
        }
        switch reader.verify(keys: BundleKeys(keys, isNamed: !named.isEmpty)) {
        case .failure(let fault):
            if console.json {
                try console.document(BundleText.document(bundle, fault))
            } else {
                console.note("\(bundle.shown): \(fault.words)")
            }
            return 1
        case .success(let verdict):
            if console.json {
                try console.document(BundleText.document(bundle, verdict))
                return 0
            }
            var lines = [
                "\(bundle.shown): run \(verdict.index.run), all \(verdict.entries) entries are those that were written"
            ]
            lines += verdict.signatures.map(BundleText.signature)
            if verdict.signatures.isEmpty {
                lines.append("not signed: whoever made the file could have written all of it")
            }
            lines += BundleText.leftOut(verdict.index)
            try console.print(lines.joined(separator: "\n"))
            return 0
        }
    }

    /// Those of this machine's state directory, if it has one. A bundle can be read without.
    private static func knownKeys(_ path: Bytes, _ console: Console) -> [VerifyingKey] {
        do throws(Failure) {
            return try StateDirectory.openExisting(at: path)?.publicKeys() ?? []
        } catch {
            console.note("no keys of this machine are known: \(error.message)")
            return []
        }
    }

    private static func tell(_ report: LedgerReport, _ console: Console) throws(Failure) -> Int32 {
        let isIntact = report.faults.isEmpty
        if console.json {
            try console.document([
                "schema": "aegix.verify/v1", "intact": .bool(isIntact), "entries": .int(Int(clamping: report.head.seq)),
                "head": .string("\(report.head)"), "torn": .array(report.torn.map(JSON.int)),
                "torn_tail": .int(report.tornTail),
                "signed": report.signed.map {
                    ["head": .string("\($0.head)"), "key": .string($0.keyID), "time": .string($0.time)]
                } ?? .null,
                "faults": .array(
                    report.faults.map { ["line": $0.line.map(JSON.int) ?? .null, "reason": .string($0.reason)] }),
            ])
            return isIntact ? 0 : 1
        }
        for fault in report.faults {
            console.note((fault.line.map { "ledger.jsonl:\($0): " } ?? "") + fault.reason)
        }
        if !isIntact { return 1 }
        var lines = ["\(report.head.seq) entries, each chained to the one before", "head    \(report.head)"]
        if let signed = report.signed {
            lines.append("signed  entries 1 to \(signed.head.seq), with the key \(signed.keyID)")
        } else {
            lines.append("signed  nothing: whoever can write the state directory could have written all of it anew")
        }
        if !report.torn.isEmpty {
            lines.append("torn    \(report.torn.count) stretches that a crash left; later entries vouch for them")
        }
        if report.tornTail > 0 {
            lines.append("torn    \(report.tornTail) bytes at the end, which the next entry will name")
        }
        try console.print(lines.joined(separator: "\n"))
        return 0
    }

    private static func tell(_ report: RunVerdict, _ id: RunID, _ console: Console) throws(Failure) -> Int32 {
        let isIntact = report.faults.isEmpty
        if console.json {
            try console.document([
                "schema": "aegix.verify/v1", "intact": .bool(isIntact), "run_id": .string(id.description),
                "files": .int(report.files), "signer": report.signer.map(JSON.string) ?? .null,
                "faults": .array(report.faults.map { ["line": nil, "reason": .string($0)] }),
            ])
            return isIntact ? 0 : 1
        }
        for fault in report.faults { console.note("run \(id): \(fault)") }
        if !isIntact { return 1 }
        let signed = report.signer.map { "signed with the key \($0)" } ?? "not signed"
        try console.print("run \(id): \(report.files) files are those that were written; the record is \(signed)")
        return 0
    }
}
