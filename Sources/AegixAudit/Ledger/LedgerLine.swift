// Pure. One line of the ledger as bytes: whether it is an entry, and its members, without a tree of values.

import AegixSystem
import CAegix
import Glibc

/// A line that is an entry: canonical JSON with everything that an entry has. What `verify` takes for an entry, what an append
/// goes on from and what `history` lists is decided here and nowhere else.
struct LedgerLine {
    let entry: LedgerEntry
    let seq: UInt64
    let prev: String
    let torn: Ledger.Torn?

    init?(_ bytes: UnsafeRawBufferPointer) {
        guard let members = LedgerMembers(bytes), let entry = LedgerEntry({ members[$0] }),
            let seq = members["seq"]?.int, seq > 0, let prev = members["prev"]?.string,
            // A member of somebody else's would hide it from whoever reads no more than these.
            let brief = LedgerText(bytes: bytes).brief, brief.kind == entry.kind, brief.run == entry.run
        else { return nil }
        (self.entry, self.seq, self.prev) = (entry, UInt64(seq), prev)
        guard let told = members["after_torn"] else {
            torn = nil
            return
        }
        guard let count = told["bytes"]?.int, let digest = told["sha256"]?.string else { return nil }
        torn = Ledger.Torn(bytes: count, digest: digest)
    }
}

/// A line within a window of the file, while that is there.
struct LedgerText {
    let bytes: UnsafeRawBufferPointer

    func mentions(_ needle: Bytes) -> Bool { find(needle, from: 0) != nil }

    /// `kind` and `run` without reading the rest, for lines that nobody asks for; what isn't an entry may have them, too.
    ///
    /// Inside a string every quote is escaped, so these texts are always members. Before `kind` no other member has members of
    /// a stranger's naming; before `run` the labels do, but theirs are texts, and `seq` is a number.
    var brief: Brief? {
        guard let kind = find(LedgerText.kind, from: 0),
            let known = LedgerEntry.Kind(UnsafeRawBufferPointer(rebasing: bytes[kind...]))
        else { return nil }
        var at = kind
        while let run = find(LedgerText.run, from: at) {
            let stop = run + RunID.length
            let next = stop + LedgerText.seq.count
            if next < bytes.count, let base = bytes.baseAddress,
                memcmp(base + stop, LedgerText.seq, LedgerText.seq.count) == 0, (0x30...0x39).contains(bytes[next])
            {
                return Brief(kind: known, text: UnsafeRawBufferPointer(rebasing: bytes[run..<stop]))
            }
            at = run
        }
        return nil
    }

    struct Brief {
        let kind: LedgerEntry.Kind
        /// Of the run's id.
        fileprivate let text: UnsafeRawBufferPointer

        /// Equal for equal ids, whether or not they are such.
        var key: Key {
            Key(
                first: text.loadUnaligned(as: UInt64.self),
                middle: text.loadUnaligned(fromByteOffset: 8, as: UInt64.self),
                last: text.loadUnaligned(fromByteOffset: RunID.length - 8, as: UInt64.self))
        }

        var run: RunID? { RunID(String(decoding: text, as: UTF8.self)) }
    }

    /// The 23 bytes of an id in three words.
    struct Key: Hashable {
        let first, middle, last: UInt64

        /// By what is random in it.
        func hash(into hasher: inout Hasher) { hasher.combine(last) }
    }

    var entry: LedgerEntry? { LedgerLine(bytes)?.entry }

    private static let kind = Bytes("\"kind\":\"")
    private static let run = Bytes("\"run\":\"")
    private static let seq = Bytes("\",\"seq\":")

    /// Where it ends.
    private func find(_ needle: Bytes, from start: Int) -> Int? {
        guard let base = bytes.baseAddress else { return nil }
        let at = aegix_find(base + start, bytes.count - start, needle, needle.count)
        return at < 0 ? nil : start + at + needle.count
    }
}

extension LedgerEntry.Kind {
    private static let written = allCases.map { (kind: $0, text: Bytes($0.rawValue + "\"")) }

    /// What the bytes begin with, up to a quote.
    fileprivate init?(_ bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress else { return nil }
        for (kind, text) in LedgerEntry.Kind.written
        where text.count <= bytes.count && memcmp(base, text, text.count) == 0 {
            self = kind
            return
        }
        return nil
    }
}

/// The members of an object that is canonical JSON.
///
/// The way through for what aegix writes itself is a scan that only notes where the members are; for any other canonical JSON
/// (floats, names beyond ASCII) the parser decides.
struct LedgerMembers {
    private let bytes: UnsafeRawBufferPointer
    private var members: [(name: Range<Int>, value: Range<Int>)] = []
    private var parsed: JSON?

    init?(_ bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
        guard bytes.first == UInt8(ascii: "{") else { return nil }
        members.reserveCapacity(20)
        var scan = CanonicalScan(bytes)
        var found = members
        if scan.object({ found.append(($0, $1)) }), scan.at == bytes.count, scan.isASCII || Bytes(bytes).text != nil {
            members = found
            return
        }
        let line = Bytes(bytes)
        guard case .success(let json) = Result(catching: { () throws(JSONError) in try JSON.parse(line) }),
            json.canonical == line
        else { return nil }
        parsed = json
    }

    subscript(name: String) -> JSON? {
        if let parsed { return parsed[name] }
        guard let value = place(of: name), let base = bytes.baseAddress else { return nil }
        let text = UnsafeRawBufferPointer(rebasing: bytes[value])
        switch text[0] {
        case UInt8(ascii: "\"") where aegix_find_last(base + value.lowerBound, value.count, 0x5C) < 0:
            return .string(String(decoding: UnsafeRawBufferPointer(rebasing: text[1..<text.count - 1]), as: UTF8.self))
        case 0x30...0x39: return .int(text.reduce(0) { $0 * 10 + Int($1 - 0x30) })
        case UInt8(ascii: "{") where text.count == 2: return .object([:])
        default: break
        }
        guard case .success(let json) = Result(catching: { () throws(JSONError) in try JSON.parse(Bytes(text)) }) else {
            return nil
        }
        return json
    }

    private func place(of name: String) -> Range<Int>? {
        var name = name
        return name.withUTF8 { wanted in
            for member in members where member.name.count == wanted.count {
                guard let base = bytes.baseAddress, let text = wanted.baseAddress else { return nil }
                if memcmp(base + member.name.lowerBound, text, wanted.count) == 0 { return member.value }
            }
            return nil
        }
    }
}

/// Goes over canonical JSON of objects, strings and integers. Refuses some of what is canonical, never takes what isn't,
/// but for bytes that are no UTF-8, on which `isASCII` has the word.
private struct CanonicalScan {
    let bytes: UnsafeRawBufferPointer
    var at = 0
    var isASCII = true
    private var depth = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    mutating func object(_ member: (Range<Int>, Range<Int>) -> Void) -> Bool {
        depth += 1
        defer { depth -= 1 }
        guard depth <= 4, take("{") else { return false }
        if take("}") { return true }
        var last: Range<Int>?
        repeat {
            let start = at
            guard let isPlain = string(), isPlain, take(":") else { return false }
            let name = start + 1..<at - 2
            if let last, !bytes[last].lexicographicallyPrecedes(bytes[name]) { return false }
            last = name
            let value = at
            guard self.value() else { return false }
            member(name, value..<at)
        } while take(",")
        return take("}")
    }

    private mutating func value() -> Bool {
        guard at < bytes.count else { return false }
        switch bytes[at] {
        case UInt8(ascii: "\""): return string() != nil
        case UInt8(ascii: "{"): return object { _, _ in }
        default: return integer()
        }
    }

    private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
        guard at < bytes.count, bytes[at] == UInt8(ascii: scalar) else { return false }
        at += 1
        return true
    }

    /// Whether it is plain: in ASCII and without escapes, so that names can be compared as bytes. nil: not canonical.
    private mutating func string() -> Bool? {
        guard take("\"") else { return nil }
        var isPlain = true
        while at < bytes.count {
            let byte = bytes[at]
            at += 1
            if byte == UInt8(ascii: "\"") { return isPlain }
            if byte < 0x20 { return nil }
            if byte >= 0x80 { (isPlain, isASCII) = (false, false) }
            if byte == UInt8(ascii: "\\") {
                isPlain = false
                guard escape() else { return nil }
            }
        }
        return nil
    }

    private mutating func escape() -> Bool {
        guard at < bytes.count else { return false }
        let byte = bytes[at]
        at += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "b"), UInt8(ascii: "f"), UInt8(ascii: "n"),
            UInt8(ascii: "r"), UInt8(ascii: "t"):
            return true
        case UInt8(ascii: "u"):
            guard at + 4 <= bytes.count, bytes[at] == 0x30, bytes[at + 1] == 0x30,
                bytes[at + 2] == 0x30 || bytes[at + 2] == 0x31
            else { return false }
            let low: UInt8
            switch bytes[at + 3] {
            case let digit where (0x30...0x39).contains(digit): low = digit - 0x30
            case let digit where (0x61...0x66).contains(digit): low = digit - 0x61 + 10
            default: return false
            }
            let code = (bytes[at + 2] - 0x30) << 4 | low
            at += 4
            return ![0x08, 0x09, 0x0A, 0x0C, 0x0D].contains(code)
        default: return false
        }
    }

    private mutating func integer() -> Bool {
        let isNegative = take("-")
        let start = at
        var value = 0
        while at < bytes.count, (0x30...0x39).contains(bytes[at]), at - start < 16 {
            value = value * 10 + Int(bytes[at] - 0x30)
            at += 1
        }
        guard at > start, value < 1 << 53, bytes[start] != 0x30 || at == start + 1 && !isNegative else { return false }
        return at == bytes.count || [UInt8(ascii: ","), UInt8(ascii: "}")].contains(bytes[at])
    }
}
