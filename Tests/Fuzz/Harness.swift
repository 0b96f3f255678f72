// What libFuzzer calls. Not a part of the package's tests: Tests/Fuzz/run.sh builds it with -sanitize=fuzzer, with the sources
// of AegixSystem and of the readers in it.

/// Each reader, and what has to hold of whatever it takes.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = Bytes(UnsafeBufferPointer(start: data, count: count))
    #if FUZZ_JSON
        fuzzJSON(bytes)
    #elseif FUZZ_LEDGER
        fuzzLedger(bytes)
    #elseif FUZZ_ENVELOPE
        fuzzEnvelope(bytes)
    #else
        fuzzKey(bytes)
    #endif
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
