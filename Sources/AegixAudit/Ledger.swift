// Side effects: appends to `<state>/ledger.jsonl`.

import AegixSystem
import CAegix
import Glibc

/// The append-only chain of all runs: each line carries the SHA-256 of the line before it. Appends are serialised by a
/// lock on the file, read only its tail, and are one write(2) each.
struct Ledger: ~Copyable {
    private let file: Descriptor
    /// Where our own last append ended: if nobody came in between, the tail needn't be read.
    private var known: (size: UInt64, tail: Tail)?

    static let name = "ledger.jsonl"

    /// Bytes after the last whole entry: what a crash in the middle of a write left. They stay where they are; the next
    /// entry names their length and digest, so that the chain goes on and still vouches for every byte.
    struct Torn: Equatable, Sendable {
        var bytes: Int
        var digest: String
    }

    /// What the next line follows.
    struct Tail: Equatable, Sendable {
        /// Of the last entry; 0 before the first.
        var seq: UInt64 = 0
        var hash = Ledger.origin
        var torn: Torn?
        var endsLine = true
    }

    /// `prev` of the first entry.
    static let origin = String(repeating: "0", count: 64)

    static func open(in state: StateDirectory) throws(SystemError) -> Ledger {
        Ledger(file: try StateFile.open(name, in: state.root, O_RDWR | O_APPEND | O_CREAT))
    }

    private init(file: consuming Descriptor) { self.file = file }

    /// Returns the seq of the entry. After an error the file is as it was.
    @discardableResult
    mutating func append(_ entry: LedgerEntry, durable: Bool = false) throws(SystemError) -> UInt64 {
        try FileLock.exclusive(file)
        defer { FileLock.release(file) }
        let size = try StateFile.facts(file).size
        let tail = if let known, known.size == size { known.tail } else { try readTail(size: size) }
        let seq = tail.seq + 1
        let line = entry.line(seq: seq, prev: tail.hash, torn: tail.torn)
        try write((tail.endsLine ? [] : [UInt8(ascii: "\n")]) + line + [UInt8(ascii: "\n")], at: size)
        if durable { try StateFile.sync(file) }
        let end = size + UInt64(line.count) + (tail.endsLine ? 1 : 2)
        known = (end, Tail(seq: seq, hash: SHA256.hex(line)))
        return seq
    }

    /// One write, so that no reader sees half a line but after a crash; a short one (a full disk) is taken back.
    private func write(_ bytes: Bytes, at size: UInt64) throws(SystemError) {
        while true {
            let count = bytes.withUnsafeBytes { Glibc.write(file.raw, $0.baseAddress, $0.count) }
            if count == bytes.count { return }
            if count < 0, errno == EINTR { continue }
            let error = count < 0 ? SystemError.last("write", Bytes(Ledger.name)) : SystemError("write", errno: ENOSPC)
            // Where this fails too, the next append finds a torn end and says so.
            _ = ftruncate(file.raw, off_t(size))
            throw error
        }
    }

    /// A line is below 64 KiB, so a tail of that length has the last one; more is read only past torn ones.
    private func readTail(size: UInt64) throws(SystemError) -> Tail {
        for room in [2048, 128 << 10, 4 << 20] {
            let start = size > UInt64(room) ? size - UInt64(room) : 0
            let window = try Ledger.read(file, from: start, count: Int(size - start))
            if let tail = Ledger.tail(of: window, isWhole: start == 0) { return tail }
        }
        throw SystemError("parse the end of", Bytes(Ledger.name), errno: EUCLEAN)
    }

    static func read(_ file: borrowing Descriptor, from start: UInt64, count: Int) throws(SystemError) -> Bytes {
        var failure: SystemError?
        let bytes = Bytes(unsafeUninitializedCapacity: count) { buffer, filled in
            filled = 0
            while filled < count, let base = buffer.baseAddress {
                let got = aegix_pread(file.raw, base + filled, count - filled, start + UInt64(filled))
                if got < 0, errno == EINTR { continue }
                if got < 0 { failure = SystemError.last("pread") }
                if got <= 0 { return }
                filled += got
            }
        }
        if let failure { throw failure }
        return bytes
    }
}

extension Ledger {
    /// Pure: the last entry in the window and what follows it; nil if the window is too short to tell.
    static func tail(of window: Bytes, isWhole: Bool) -> Tail? {
        let newline = UInt8(ascii: "\n")
        let endsLine = window.isEmpty || window.last == newline
        var end = window.count
        while let stop = window[..<end].lastIndex(of: newline) {
            let before = window[..<stop].lastIndex(of: newline)
            if before == nil, !isWhole { return nil }
            let line = window[(before.map { $0 + 1 } ?? 0)..<stop]
            if let seq = seq(of: line) {
                return Tail(
                    seq: seq, hash: SHA256.hex(Bytes(line)), torn: torn(window[(stop + 1)...]), endsLine: endsLine)
            }
            end = stop
        }
        return isWhole ? Tail(torn: torn(window[...]), endsLine: endsLine) : nil
    }

    private static func torn(_ rest: ArraySlice<UInt8>) -> Torn? {
        rest.isEmpty ? nil : Torn(bytes: rest.count, digest: SHA256.hex(Bytes(rest)))
    }

    /// The seq, if the line is a whole object that has one. Outside of strings only, which a parser would find as well,
    /// but this is on the way of every run.
    private static func seq(of line: ArraySlice<UInt8>) -> UInt64? {
        guard line.first == UInt8(ascii: "{"), line.last == UInt8(ascii: "}") else { return nil }
        var depth = 0
        var isQuoted = false
        var isEscaped = false
        for byte in line {
            if isEscaped {
                isEscaped = false
            } else if isQuoted, byte == UInt8(ascii: "\\") {
                isEscaped = true
            } else if byte == UInt8(ascii: "\"") {
                isQuoted.toggle()
            } else if !isQuoted, byte == UInt8(ascii: "{") {
                depth += 1
            } else if !isQuoted, byte == UInt8(ascii: "}") {
                depth -= 1
            }
        }
        // Inside a string the quotes would be escaped, so this text is always the member.
        guard depth == 0, !isQuoted, let start = find(Bytes("\"seq\":"), in: line) else { return nil }
        return UInt64(String(decoding: line[start...].prefix { (0x30...0x39).contains($0) }, as: UTF8.self))
    }

    private static func find(_ needle: Bytes, in line: ArraySlice<UInt8>) -> Int? {
        var at = line.startIndex
        while let found = line[at...].firstIndex(of: needle[0]) {
            if line[found...].starts(with: needle) { return found + needle.count }
            at = found + 1
        }
        return nil
    }
}
