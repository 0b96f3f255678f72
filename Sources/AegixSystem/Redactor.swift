// Pure. Finds secrets in bytes, whole or as they come, and puts their names in their place.

/// All of a run's secrets, in every spelling. Each stretch that a spelling covers becomes `[redacted:NAME]`; spellings that overlap become
/// one, by the name of the first.
public final class Redactor: Sendable {
    let plain: PatternAutomaton
    /// For base64 and hexadecimal, which let line breaks through.
    let coded: PatternAutomaton
    let marks: [Bytes]
    /// Most of a text is passed over by these alone.
    private let beginnings: BytePairs
    private let windows: BytePairs
    /// No pattern is shorter; of longer ones only so much of the beginning is in `windows`.
    private let window: Int

    /// nil: there is nothing to look for.
    public init?(_ secrets: [Secret]) {
        if secrets.isEmpty { return nil }
        var (plain, coded): ([(bytes: Bytes, secret: UInt32)], [(bytes: Bytes, secret: UInt32)]) = ([], [])
        for (index, secret) in secrets.enumerated() {
            let forms = SecretForms(secret.value)
            plain += forms.plain.filter { $0.count >= 2 }.map { ($0, UInt32(index)) }
            coded += forms.coded.filter { $0.count >= 2 }.map { ($0, UInt32(index)) }
        }
        marks = secrets.map { Bytes("[redacted:\($0.name)]") }
        let window = (plain + coded).reduce(6) { min($0, $1.bytes.count) }
        var (beginnings, windows) = (BytePairs(), BytePairs())
        for (bytes, _) in plain + coded {
            beginnings.insert(bytes[0], bytes[1])
            for index in 1..<window { windows.insert(bytes[index - 1], bytes[index]) }
        }
        for lineBreak: UInt8 in [0x0A, 0x0D] {
            for (bytes, _) in coded { beginnings.insert(bytes[0], lineBreak) }
            for byte in UInt8.min...UInt8.max {
                windows.insert(byte, lineBreak)
                windows.insert(lineBreak, byte)
            }
        }
        (self.window, self.beginnings, self.windows) = (window, beginnings, windows)
        self.plain = PatternAutomaton(plain)
        self.coded = PatternAutomaton(coded)
    }

    /// The bytes without the secrets in them.
    ///
    /// - isCut: something was cut off at the end, which may have been in the middle of a secret.
    public func redact(_ bytes: Bytes, isCut: Bool = false) -> Bytes {
        let stream = RedactionStream(self)
        var out = Bytes()
        bytes.withUnsafeBytes { stream.feed($0, into: &out) }
        stream.finish(into: &out, isCut: isCut)
        return out
    }

    public func redact(_ text: String) -> String { String(decoding: redact(Bytes(text)), as: UTF8.self) }

    public func finds(in bytes: Bytes) -> Bool {
        var search = SecretSearch(self)
        bytes.withUnsafeBytes { search.feed($0) }
        return search.found
    }

    // MARK: - The walk

    struct State {
        var plain: UInt32 = 0
        var coded: UInt32 = 0
        /// Line breaks in a row, within a coded pattern: a carriage return and a newline are let through, no empty line.
        var breaks = 0
    }

    /// Calls `body` with each match: where it ends, its length in the pattern's bytes, whether line breaks may lie in it, whose it is.
    @inline(__always)
    func scan(
        _ bytes: UnsafeRawBufferPointer, _ state: inout State, _ body: (Int, Int, Bool, UInt32) -> Void
    ) {
        plain.nodes.withUnsafeBufferPointer { plainNodes in
            plain.rows.withUnsafeBufferPointer { plainRows in
                coded.nodes.withUnsafeBufferPointer { codedNodes in
                    coded.rows.withUnsafeBufferPointer { codedRows in
                        var now = state
                        var at = 0
                        while at < bytes.count {
                            if now.plain | now.coded == 0 {
                                at = next(bytes, at)
                                now.breaks = 0
                            }
                            let byte = bytes[at]
                            at += 1
                            now.plain = PatternAutomaton.step(plainNodes, plainRows, now.plain, byte)
                            let found = plainNodes[Int(now.plain)]
                            if found.length > 0 { body(at, Int(found.length), false, found.secret) }
                            if byte == 0x0A || byte == 0x0D {
                                now.breaks += 1
                                if now.breaks > 2 { now.coded = 0 }
                                continue
                            }
                            now.breaks = 0
                            now.coded = PatternAutomaton.step(codedNodes, codedRows, now.coded, byte)
                            let other = codedNodes[Int(now.coded)]
                            if other.length > 0 { body(at, Int(other.length), true, other.secret) }
                        }
                        state = now
                    }
                }
            }
        }
    }
}

extension Redactor {
    /// The first place from there where a pattern may begin, or the last byte. A pattern that began in the window's first bytes would have the
    /// window's last two among its own.
    @inline(__always)
    private func next(_ bytes: UnsafeRawBufferPointer, _ start: Int) -> Int {
        var at = start
        let last = bytes.count - 1
        beginnings.words.withUnsafeBufferPointer { beginnings in
            windows.words.withUnsafeBufferPointer { windows in
                while at + window <= bytes.count {
                    if !BytePairs.contains(windows, bytes[at + window - 2], bytes[at + window - 1]) {
                        at += window - 1
                    } else if BytePairs.contains(beginnings, bytes[at], bytes[at + 1]) {
                        return
                    } else {
                        at += 1
                    }
                }
                while at < last, !BytePairs.contains(beginnings, bytes[at], bytes[at + 1]) { at += 1 }
            }
        }
        return min(at, last)
    }
}

/// A bit for each pair of bytes.
private struct BytePairs {
    private(set) var words = [UInt64](repeating: 0, count: 1024)

    mutating func insert(_ first: UInt8, _ second: UInt8) {
        let pair = Int(first) << 8 | Int(second)
        words[pair >> 6] |= 1 << UInt64(pair & 63)
    }

    @inline(__always)
    static func contains(_ words: UnsafeBufferPointer<UInt64>, _ first: UInt8, _ second: UInt8) -> Bool {
        let pair = Int(first) << 8 | Int(second)
        return words[pair >> 6] >> UInt64(pair & 63) & 1 != 0
    }
}

/// Whether a secret is in a stream.
public struct SecretSearch {
    private let redactor: Redactor
    private var state = Redactor.State()
    public private(set) var found = false

    public init(_ redactor: Redactor) { self.redactor = redactor }

    public mutating func feed(_ bytes: UnsafeRawBufferPointer) {
        if found { return }
        var seen = false
        redactor.scan(bytes, &state) { _, _, _, _ in seen = true }
        found = seen
    }
}
