// Pure. What the entries of a bundle say of each other: every one is named, and what is named is there.

import AegixSystem

/// Whose signatures count.
public struct BundleKeys: Sendable {
    var keys: [VerifyingKey]
    /// The caller named them: a bundle that none of them has signed doesn't hold.
    var isNamed: Bool

    public init(_ keys: [VerifyingKey], isNamed: Bool) { (self.keys, self.isNamed) = (keys, isNamed) }
    public static let none = BundleKeys([], isNamed: false)
}

/// What a bundle is, every byte of which is accounted for.
public struct BundleVerdict: Sendable {
    public var index: BundleIndex
    /// `audit.json`.
    public var record: Bytes
    public var signatures: [Signature] = []
    /// Entries, the blobs among them.
    public var entries = 0

    public struct Signature: Sendable {
        public var entry: String
        public var keyID: String
        /// nil: that key isn't known here, so nobody looked.
        public var holds: Bool?
        public var predicateType: String
    }
}

/// Takes the entries in their order. A reason is a fault of the entry that was given.
struct BundleCheck {
    private(set) var index: BundleIndex?
    private(set) var blobs = BlobTable()
    private(set) var record = Bytes()
    private(set) var signatures: [BundleVerdict.Signature] = []
    private let keys: BundleKeys
    private var indexDigest = ""
    private var recordEnvelope: Envelope?
    private var start: LedgerHead?
    private var closing: LedgerEntry.Closing?
    private var expectedChanges: Int?
    private var changeLines = 0
    private var inputLines = 0

    init(_ keys: BundleKeys) { self.keys = keys }

    /// Read line by line: it may be long.
    static func isList(_ name: String) -> Bool {
        [BundleName.blobList, BundleName.changes, BundleName.inputs].contains(name)
    }

    /// Needed whole.
    static func isKept(_ name: String) -> Bool {
        [BundleName.record, BundleName.recordSignature, BundleName.ledger, Manifest.name].contains(name)
    }

    // MARK: - Lists

    mutating func line(_ line: UnsafeRawBufferPointer, of name: String) -> String? {
        switch name {
        case BundleName.blobList: return blob(line)
        case BundleName.changes: return change(Bytes(line))
        default: return input(Bytes(line))
        }
    }

    private mutating func blob(_ line: UnsafeRawBufferPointer) -> String? {
        do throws(BlobTable.Flaw) {
            try blobs.add(line: line)
            return nil
        } catch {
            switch error {
            case .malformed: return "a line of it isn't in the one form that there is"
            case .order: return "its lines aren't in order, or one stands twice"
            case .many: return "it has more lines than the \(BundleBounds.blobs) that are taken"
            case .large: return "it names a blob that is larger than any can be"
            }
        }
    }

    private static func parse(_ line: Bytes) -> JSON? {
        do throws(JSONError) { return try JSON.parse(line, maxDepth: 6) } catch { return nil }
    }

    private mutating func change(_ line: Bytes) -> String? {
        changeLines += 1
        guard let json = BundleCheck.parse(line) else { return "line \(changeLines) of it can't be read" }
        if changeLines == 1 {
            guard json["schema"]?.string == ChangeFiles.schema, let count = json["changes"]?.int else {
                return "it isn't a list of changes"
            }
            expectedChanges = count
            return nil
        }
        guard let change = ChangeFiles.Line(json) else { return "line \(changeLines) of it isn't a change" }
        guard let content = change.content else { return nil }
        if blobs.name(content.digest, content.size, asInput: false) { return nil }
        if index?.isLeftOut(.layer, change.path) == true { return nil }
        return "the content of \(change.path.shown) is neither there nor said to be left out"
    }

    private mutating func input(_ line: Bytes) -> String? {
        inputLines += 1
        guard let json = BundleCheck.parse(line), json.object != nil else {
            return "line \(inputLines) of it can't be read"
        }
        if inputLines == 1 { return nil }
        guard let input = InputFiles.Line(json) else { return "line \(inputLines) of it isn't an input" }
        guard let content = input.content else { return nil }
        if blobs.name(content.digest, content.size, asInput: true) { return nil }
        if index?.isLeftOut(.inputs, input.path) == true { return nil }
        return "the content of \(input.path.shown) is neither there nor said to be left out"
    }

    // MARK: - Files

    /// All of it has been read.
    mutating func file(_ name: String, _ digest: String, _ bytes: Bytes?) -> String? {
        switch name {
        case BundleName.index:
            guard let bytes, let index = BundleIndex(bytes) else {
                return "it isn't what aegix writes, or names more than is taken of a bundle"
            }
            (self.index, indexDigest) = (index, digest)
        case BundleName.blobList:
            if blobs.blobs.count != index?.blobs || blobs.bytes != index?.blobBytes {
                return "it doesn't have as many blobs, or bytes, as \(BundleName.index) says"
            }
        case BundleName.changes:
            if let expectedChanges, expectedChanges == changeLines - 1 { return nil }
            return "it doesn't have as many lines as it says"
        case BundleName.record:
            guard let bytes, let json = BundleCheck.parseWhole(bytes), json.canonical == bytes,
                json["run_id"]?.string == index?.run.description
            else { return "it isn't the record of this run" }
            record = bytes
        case BundleName.recordSignature:
            do throws(Envelope.Flaw) { recordEnvelope = try Envelope.parse(bytes ?? []) } catch { return error.words }
        case BundleName.ledger: return ledger(bytes ?? [])
        case Manifest.name: return manifest(bytes ?? [])
        case BundleName.signature: return signature(bytes ?? [])
        default: break
        }
        return nil
    }

    private static func parseWhole(_ bytes: Bytes) -> JSON? {
        do throws(JSONError) { return try JSON.parse(bytes) } catch { return nil }
    }

    /// The entries of the run's start and of its end, as they stand in the ledger.
    private mutating func ledger(_ bytes: Bytes) -> String? {
        let reason = "it isn't the ledger's two lines of this run"
        guard bytes.last == UInt8(ascii: "\n") else { return reason }
        let lines = bytes.dropLast().split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).map(
            Bytes.init)
        if lines.count > 2 { return reason }
        for line in lines {
            guard let told = line.withUnsafeBytes({ LedgerLine($0) }), told.entry.run == index?.run else {
                return reason
            }
            if told.entry.kind == .start, start == nil, closing == nil {
                start = LedgerHead(seq: told.seq, hash: SHA256.hex(line))
            } else if told.entry.kind.isEnd, closing == nil, let closing = told.entry.closing {
                if let start, start.seq >= told.seq { return reason }
                self.closing = closing
            } else {
                return reason
            }
        }
        return closing == nil ? reason : nil
    }

    private mutating func manifest(_ bytes: Bytes) -> String? {
        guard let index, let json = BundleCheck.parseWhole(bytes), json.canonical == bytes,
            json["schema"]?.string == Manifest.schema, json["run_id"]?.string == index.run.description,
            let files = json["files"]?.object
        else { return "it isn't the manifest of this run" }
        for (name, told) in files.sorted(by: { $0.key < $1.key }) {
            guard let file = index.file(name) else {
                if name == BundleName.changes, index.leftOutWhole(.changes) { continue }
                if name == BundleName.inputs, index.leftOutWhole(.inputs) { continue }
                return "it names \(Bytes(name).shown), which isn't there nor said to be left out"
            }
            if told["sha256"]?.string != file.digest || told["bytes"]?.int != Int(file.size) {
                return "its \(name) isn't the one that the bundle has"
            }
        }
        for file in index.files where !BundleName.outsideManifest.contains(file.name) && files[file.name] == nil {
            return "it doesn't name \(file.name), which the bundle has"
        }
        for told in json["artifacts"]?.array ?? [] {
            guard let artifact = ArtifactFiles.Line(told) else { return "it names an artifact that can't be" }
            if blobs.name(artifact.content.digest, artifact.content.size, asInput: false) { continue }
            if index.isLeftOut(.artifacts, artifact.path) { continue }
            return "the content of the artifact \(artifact.path.shown) is neither there nor said to be left out"
        }
        return nil
    }

    // MARK: - When all files are known

    mutating func filesEnd() -> (entry: String, reason: String)? {
        guard let index else { return (BundleName.index, "it is missing") }
        for name in [BundleName.record, BundleName.blobList, BundleName.ledger, Manifest.name]
        where index.file(name) == nil {
            return (BundleName.index, "it doesn't name \(name), without which no bundle is whole")
        }
        guard let closing else { return (BundleName.ledger, "it doesn't tell of the run's end") }
        for (name, digest) in [(BundleName.record, closing.audit), (Manifest.name, closing.manifest)]
        where index.file(name)?.digest != digest {
            return (name, "it isn't the one that the ledger's entry of the run's end names")
        }
        if let nobodys = blobs.blobs.first(where: { !$0.isInput && !$0.isOutput }) {
            return (nobodys.name, "nothing of the run names it")
        }
        return recordSignature(closing, index).map { (BundleName.recordSignature, $0) }
    }

    private mutating func recordSignature(_ closing: LedgerEntry.Closing, _ index: BundleIndex) -> String? {
        guard let envelope = recordEnvelope else {
            return closing.signer == nil ? nil : "it is missing: the ledger tells that the record was signed"
        }
        guard closing.signer == envelope.keyID else { return "it isn't signed with the key that the ledger tells" }
        guard let statement = Statement(envelope.payload), statement.predicateType == RunPredicate.uri,
            statement.predicate["run_id"]?.string == index.run.description,
            statement.digest(of: BundleName.record) == closing.audit,
            statement.digest(of: Manifest.name) == closing.manifest,
            statement.predicate["ledger"].flatMap({ LedgerHead($0) }) == start
        else { return "it is a statement on something else" }
        return take(envelope, statement, of: BundleName.recordSignature)
    }

    private mutating func signature(_ bytes: Bytes) -> String? {
        let envelope: Envelope
        do throws(Envelope.Flaw) { envelope = try Envelope.parse(bytes) } catch { return error.words }
        guard let index, envelope.keyID == index.signer else {
            return "it isn't signed with the key that \(BundleName.index) names"
        }
        guard let statement = Statement(envelope.payload), statement.digest(of: BundleName.index) == indexDigest,
            index.files.allSatisfy({ statement.digest(of: $0.name) == $0.digest })
        else { return "it is a statement on something else" }
        return take(envelope, statement, of: BundleName.signature)
    }

    private mutating func take(_ envelope: Envelope, _ statement: Statement, of name: String) -> String? {
        var holds: Bool?
        do throws(Envelope.Flaw) {
            _ = try envelope.verify(keys.keys)
            holds = true
        } catch {
            guard case .unknownKey = error else { return error.words }
        }
        signatures.append(
            .init(entry: name, keyID: envelope.keyID, holds: holds, predicateType: statement.predicateType))
        return nil
    }

    // MARK: - At the end

    /// With keys that the caller named, the one signature that covers the most has to be of one of them.
    func verdict() -> Result<BundleVerdict, BundleFault> {
        guard let index else { return .failure(BundleFault(BundleName.index, 0, "it is missing")) }
        if keys.isNamed {
            guard let outermost = signatures.last else {
                return .failure(BundleFault(nil, 0, "it isn't signed, and --key asks for a signature"))
            }
            if outermost.holds != true {
                let reason = "it is signed with the key \(Bytes(outermost.keyID).shown), which none of --key is"
                return .failure(BundleFault(outermost.entry, 0, reason))
            }
        }
        var verdict = BundleVerdict(index: index, record: record, signatures: signatures)
        verdict.entries = 1 + index.files.count + blobs.blobs.count + (index.signer == nil ? 0 : 1)
        return .success(verdict)
    }
}
