// What libFuzzer calls. Not a part of the package's tests: Tests/Fuzz/run.sh builds it with -sanitize=fuzzer, with the sources
// of AegixSystem and of the readers in it.

import Glibc

/// Which of the readers.
let reader = getenv("AEGIX_FUZZ").map { String(cString: $0) } ?? ""

/// Each reader, and what has to hold of whatever it takes.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = Bytes(UnsafeBufferPointer(start: data, count: count))
    switch reader {
    case "json": fuzzJSON(bytes)
    case "ledger": fuzzLedger(bytes)
    case "envelope": fuzzEnvelope(bytes)
    case "key": fuzzKey(bytes)
    case "bundle": fuzzBundle(bytes)
    case "frame": fuzzFrame(bytes)
    case "record": fuzzRecord(bytes)
    case "policy": fuzzPolicy(bytes)
    case "inputs": fuzzInputs(bytes)
    default: fatalError("AEGIX_FUZZ names no reader")
    }
    return 0
}

/// What is read is written in one form, which reads as the same.
func fuzzJSON(_ bytes: Bytes) {
    guard case .success(let json) = Result(catching: { () throws(JSONError) in try JSON.parse(bytes) }) else { return }
    let canonical = json.canonical
    guard case .success(let again) = Result(catching: { () throws(JSONError) in try JSON.parse(canonical) }) else {
        fatalError("what was written can't be read")
    }
    precondition(again.canonical == canonical, "the canonical form isn't one")
    guard case .success(let pretty) = Result(catching: { () throws(JSONError) in try JSON.parse(json.pretty) }) else {
        fatalError("what was written for people can't be read")
    }
    precondition(pretty.canonical == canonical)
}

/// The scan of a line says what the parser says; a ledger is judged the same in one piece and in many; and what can be
/// appended to still verifies as far as it did.
func fuzzLedger(_ bytes: Bytes) {
    for line in bytes.split(separator: 10, omittingEmptySubsequences: false) {
        let line = Bytes(line)
        let isCanonicalObject: Bool
        if case .success(let json) = Result(catching: { () throws(JSONError) in try JSON.parse(line) }) {
            isCanonicalObject = json.object != nil && json.canonical == line
            line.withUnsafeBytes { raw in
                if let members = LedgerMembers(raw), let object = json.object {
                    for (name, value) in object { precondition(members[name] == value, "a member reads otherwise") }
                }
            }
        } else {
            isCanonicalObject = false
        }
        line.withUnsafeBytes { raw in
            precondition((LedgerMembers(raw) != nil) == isCanonicalObject, "the scan and the parser disagree")
            if let entry = LedgerLine(raw) {
                guard let brief = LedgerText(bytes: raw).brief else { fatalError("an entry without kind and run") }
                precondition(brief.kind == entry.entry.kind && brief.run == entry.entry.run, "the brief reading lies")
            }
        }
    }
    let whole = Ledger.verify(bytes)
    var check = LedgerCheck()
    for start in stride(from: 0, to: bytes.count, by: 7) {
        bytes.withUnsafeBytes { check.feed(UnsafeRawBufferPointer(rebasing: $0[start..<min(start + 7, bytes.count)])) }
    }
    check.finish()
    precondition(check.verdict == whole, "in pieces it is judged otherwise")
    if whole.fault == nil, let tail = Ledger.tail(of: bytes, isWhole: true) {
        precondition(tail.seq == whole.entries && tail.hash == whole.head, "an append goes on from elsewhere")
    }
}

func fuzzEnvelope(_ bytes: Bytes) {
    guard case .success(let envelope) = Result(catching: { () throws(Envelope.Flaw) in try Envelope.parse(bytes) })
    else {
        return
    }
    precondition(envelope.json.canonical == bytes, "a bit of an envelope is free")
    _ = Statement(envelope.payload)
}

func fuzzKey(_ bytes: Bytes) {
    bytes.withUnsafeBytes { _ = SigningKey.parse($0)?.publicKey.id }
    if let key = VerifyingKey.parse(bytes) { precondition(VerifyingKey.parse(key.pem) == key) }
}

/// Whoever gets the contents of a bundle has names of the grammar alone, each once, and no more bytes than were told.
final class NameKeeper: BundleSink {
    private var names: Set<String> = []
    private var isOpen = false
    private var left: UInt64?

    func begin(file name: String) throws(SystemError) {
        let isKnown =
            name == BundleName.index || name == BundleName.signature || BundleName.files.contains { $0.name == name }
        precondition(isKnown, "a name of its own")
        open(name, nil)
    }

    func begin(blob: BlobTable.Blob) throws(SystemError) {
        precondition(blob.isInput || blob.isOutput, "a blob that nobody names")
        precondition(blob.name.utf8.count == 70 && Hex.decode(blob.name.utf8.dropFirst(6)) != nil)
        open(blob.name, blob.size)
    }

    private func open(_ name: String, _ size: UInt64?) {
        precondition(!isOpen && names.insert(name).inserted, "an entry twice")
        (isOpen, left) = (true, size)
    }

    func write(_ bytes: UnsafeRawBufferPointer) throws(SystemError) {
        precondition(isOpen && left ?? .max >= UInt64(bytes.count), "more than was told")
        left = left.map { $0 - UInt64(bytes.count) }
    }

    func end() throws(SystemError) {
        precondition(isOpen && left ?? 0 == 0, "less than was told")
        isOpen = false
    }
}

/// The archive without its packing, which no fuzzer gets through, and without heeding digests, which none guesses. In pieces it is judged as
/// in one.
func fuzzBundle(_ bytes: Bytes) {
    func read(_ pieces: Int) -> Result<Int, BundleFault> {
        var parser = BundleParser(
            fileSize: UInt64(bytes.count), keys: .none, sink: NameKeeper(), heedsDigests: false)
        do throws(BundleFault) {
            for start in stride(from: 0, to: bytes.count, by: pieces) {
                let piece = Bytes(bytes[start..<min(start + pieces, bytes.count)])
                var fault: BundleFault?
                piece.withUnsafeBytes { piece in
                    do throws(BundleFault) { try parser.feed(piece) } catch { fault = error }
                }
                if let fault { throw fault }
            }
            try parser.finish()
            return .success(try parser.check.verdict().get().entries)
        } catch {
            return .failure(error)
        }
    }
    switch (read(max(1, bytes.count)), read(509)) {
    case (.success(let one), .success(let other)): precondition(one == other)
    case (.failure(let one), .failure(let other)):
        precondition(one.entry == other.entry && one.reason == other.reason, "in pieces it is judged otherwise")
    default: fatalError("in pieces it is judged otherwise")
    }
}

func fuzzFrame(_ bytes: Bytes) {
    func unpack(_ pieces: Int) -> Bytes? {
        guard case .success(let unpacker) = Result(catching: { () throws(BundleUnpacker.Flaw) in try BundleUnpacker() })
        else { return nil }
        var contents = Bytes()
        do throws(BundleFault) {
            for start in stride(from: 0, to: bytes.count, by: pieces) {
                let piece = Bytes(bytes[start..<min(start + pieces, bytes.count)])
                var fault: BundleFault?
                piece.withUnsafeBytes { piece in
                    do throws(BundleFault) {
                        try unpacker.feed(piece) { (out) throws(BundleFault) in
                            contents.append(contentsOf: out)
                        } else: { flaw in
                            BundleFault(nil, 0, flaw.words)
                        }
                    } catch {
                        fault = error
                    }
                }
                if let fault { throw fault }
            }
        } catch {
            return nil
        }
        return unpacker.isComplete ? contents : nil
    }
    let whole = unpack(max(1, bytes.count))
    precondition(whole == unpack(3), "in pieces it is unpacked otherwise")
    // A frame of zeros is packed some 25,000-fold.
    if let whole { precondition(whole.count <= bytes.count << 15) }
}

/// What `show`, `history`'s neighbours and a replay read of a record, and the list of changes beside it.
func fuzzRecord(_ bytes: Bytes) {
    if let list = ChangeList.decode(bytes) {
        let again = list.encode()
        precondition(ChangeList.decode(again) == list, "what was written reads otherwise")
    }
    guard case .success(let json) = Result(catching: { () throws(JSONError) in try JSON.parse(bytes) }) else {
        return
    }
    for isElsewhere in [false, true] {
        for line in RecordText.lines(json, isElsewhere: isElsewhere) {
            for scalar in line.unicodeScalars {
                precondition(
                    scalar.value >= 0x20 && !(0x7F..<0xA0).contains(scalar.value), "a control character is shown")
            }
        }
    }
    _ = (SLSAPredicate(record: json, byproducts: []).json.canonical, LinkPredicate(record: json).json.canonical)
    _ = (ChangeFiles.Line(json), InputFiles.Line(json), ArtifactFiles.Line(json))
}

/// What was kept of a workspace, in the one form that there is, and with no name that a layout could leave its directory by.
func fuzzInputs(_ bytes: Bytes) {
    guard let list = InputList.decode(bytes) else { return }
    precondition(list.encode() == bytes, "a bit of the list is free")
    var directories: Set<Bytes> = []
    for input in list.inputs {
        let names = input.path.split(separator: Path.slash, omittingEmptySubsequences: false).map(Bytes.init)
        precondition(!input.path.contains(0) && !Path.isAbsolute(input.path))
        precondition(
            input.path.isEmpty || !names.contains { [[], Bytes("."), Bytes("..")].contains($0) },
            "a name that leads away")
        precondition(input.path.isEmpty || directories.contains(Path.relativeParent(input.path)), "in no directory")
        if input.kind == .directory { directories.insert(input.path) }
    }
}

/// Read, or all that is wrong said of places that are in the text; and the same twice.
func fuzzPolicy(_ bytes: Bytes) {
    let lines = bytes.count { $0 == 10 } + 1
    func read() -> [PolicyError]? {
        do throws(PolicyErrors) {
            _ = try PolicyReader.read(bytes, source: "policy.toml")
            return nil
        } catch {
            return error.list
        }
    }
    guard let errors = read() else { return }
    precondition(!errors.isEmpty && errors == read(), "the same text, other errors")
    for error in errors {
        precondition(!error.message.isEmpty)
        if let position = error.position { precondition(position.line <= lines + 1, "a line that isn't there") }
    }
}
