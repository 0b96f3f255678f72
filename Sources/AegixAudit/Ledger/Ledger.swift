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
        // Non-blocking, so that a FIFO under that name can't hold us up.
        let file = try StateFile.open(name, in: state.root, O_RDWR | O_APPEND | O_CREAT | O_NONBLOCK)
        try checkOwn(file)
        return Ledger(file: file)
    }

    /// ENOENT where there is none.
    static func openToRead(in state: StateDirectory) throws(SystemError) -> Descriptor {
        let file = try StateFile.open(name, in: state.root, O_RDONLY | O_NONBLOCK)
        try checkOwn(file)
        return file
    }

    /// A regular file of the caller's, that no other can write and that has no second name elsewhere.
    private static func checkOwn(_ file: borrowing Descriptor) throws(SystemError) {
        let facts = try StateFile.facts(file)
        if facts.mode & S_IFMT != S_IFREG || facts.links > 1 { throw SystemError("open", Bytes(name), errno: EINVAL) }
        if facts.uid != geteuid() || facts.mode & 0o022 != 0 { throw SystemError("open", Bytes(name), errno: EPERM) }
    }

    private init(file: consuming Descriptor) { self.file = file }

    /// The newest entry of our own.
    var head: LedgerHead? { known.map { LedgerHead(seq: $0.tail.seq, hash: $0.tail.hash) } }

    /// Returns the seq of the entry. After an error of the append itself the file is as it was.
    ///
    /// - seal: called with the new head while nobody else can append.
    @discardableResult
    mutating func append(
        _ entry: LedgerEntry, durable: Bool = false, seal: ((LedgerHead) throws(SystemError) -> Void)? = nil
    ) throws(SystemError) -> UInt64 {
        try FileLock.exclusive(file)
        defer { FileLock.release(file) }
        let size = try StateFile.facts(file).size
        let tail = if let known, known.size == size { known.tail } else { try readTail(size: size) }
        let seq = tail.seq + 1
        let line = entry.line(seq: seq, prev: tail.hash, torn: tail.torn)
        try write((tail.endsLine ? [] : [UInt8(ascii: "\n")]) + line + [UInt8(ascii: "\n")], at: size)
        if durable { try StateFile.sync(file) }
        let end = size + UInt64(line.count) + (tail.endsLine ? 1 : 2)
        let hash = SHA256.hex(line)
        known = (end, Tail(seq: seq, hash: hash))
        try seal?(LedgerHead(seq: seq, hash: hash))
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
            do throws(SystemError) {
                filled = try read(file, from: start, into: UnsafeMutableRawBufferPointer(buffer))
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return bytes
    }

    /// Fills the buffer as far as the file goes; returns how far.
    static func read(
        _ file: borrowing Descriptor, from start: UInt64, into buffer: UnsafeMutableRawBufferPointer
    ) throws(SystemError) -> Int {
        var filled = 0
        while filled < buffer.count, let base = buffer.baseAddress {
            let got = aegix_pread(file.raw, base + filled, buffer.count - filled, start + UInt64(filled))
            if got < 0, errno == EINTR { continue }
            if got < 0 { throw SystemError.last("pread") }
            if got == 0 { break }
            filled += got
        }
        return filled
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
            let line = Bytes(window[(before.map { $0 + 1 } ?? 0)..<stop])
            if let entry = line.withUnsafeBytes({ LedgerLine($0) }) {
                return Tail(
                    seq: entry.seq, hash: SHA256.hex(line), torn: torn(window[(stop + 1)...]), endsLine: endsLine)
            }
            end = stop
        }
        return isWhole ? Tail(torn: torn(window[...]), endsLine: endsLine) : nil
    }

    private static func torn(_ rest: ArraySlice<UInt8>) -> Torn? {
        rest.isEmpty ? nil : Torn(bytes: rest.count, digest: SHA256.hex(Bytes(rest)))
    }
}
