// Side effects: reads `<state>/ledger.jsonl` from its end.

import AegixSystem
import CAegix
import Glibc

/// Lines, newest first, without reading more of the file than is asked for. There is no index: a filter is a search for bytes,
/// and goes through 100,000 entries in a few hundredths of a second. So nothing but the ledger has to be believed.
struct LedgerReader: ~Copyable {
    private let file: Descriptor
    private static let chunk = 64 << 10
    /// What the nearest cache of a processor holds beside all else.
    private static let longestChunk = 256 << 10
    private static let longestLine = 1 << 20
    /// The most that one command reads: some 500,000 entries.
    static let bound: UInt64 = 256 << 20

    /// nil where no run was ever recorded.
    static func open(in state: StateDirectory) throws(SystemError) -> LedgerReader? {
        do {
            return LedgerReader(file: try Ledger.openToRead(in: state))
        } catch {
            if error.errno == ENOENT { return nil }
            throw error
        }
    }

    private init(file: consuming Descriptor) { self.file = file }

    /// Calls `visit` with each line, also such as are no entries (torn ones), until it answers false. Returns false if the
    /// bound was reached first.
    ///
    /// One buffer for all of the file: what is read stands before the line that began in it and ends in what was read before.
    func newestLines(_ visit: (LedgerText) -> Bool) throws(SystemError) -> Bool {
        var end = try StateFile.facts(file).size
        let lowest = end > LedgerReader.bound ? end - LedgerReader.bound : 0
        let most = min(Int(clamping: end), LedgerReader.longestChunk)
        let buffer = UnsafeMutableRawBufferPointer.allocate(
            byteCount: most + min(Int(clamping: end), LedgerReader.longestLine), alignment: 1)
        defer { buffer.deallocate() }
        var room = LedgerReader.chunk
        // Of the line that isn't whole yet.
        var rest = 0
        while end > lowest {
            let count = min(room, Int(clamping: end))
            let start = end - UInt64(count)
            // Behind what is read next, where it ended up to now.
            if rest > 0, let base = buffer.baseAddress { memmove(base + count, base, rest) }
            let read = try Ledger.read(file, from: start, into: .init(rebasing: buffer[..<count]))
            // Whoever couldn't append all of an entry has taken it back meanwhile.
            if read < count, let base = buffer.baseAddress { memmove(base + read, base + count, rest) }
            let text = UnsafeRawBufferPointer(rebasing: buffer[..<(read + rest)])
            var stop = text.count
            while let newline = LedgerReader.newline(in: text, before: stop) {
                let line = UnsafeRawBufferPointer(rebasing: text[(newline + 1)..<stop])
                if !line.isEmpty, !visit(LedgerText(bytes: line)) { return true }
                stop = newline
            }
            // No line is that long; what is, isn't ours.
            rest = stop > LedgerReader.longestLine ? 0 : stop
            end = start
            room = min(room * 4, LedgerReader.longestChunk)
        }
        if lowest > 0 { return false }
        if rest > 0 { _ = visit(LedgerText(bytes: UnsafeRawBufferPointer(rebasing: buffer[..<rest]))) }
        return true
    }

    /// Entries only; with `mentioning`, only of lines with these bytes.
    func newestFirst(mentioning needle: Bytes = [], _ visit: (LedgerEntry) -> Bool) throws(SystemError) -> Bool {
        try newestLines { line in
            if !needle.isEmpty, !line.mentions(needle) { return true }
            guard let entry = line.entry else { return true }
            return visit(entry)
        }
    }

    private static func newline(in window: UnsafeRawBufferPointer, before stop: Int) -> Int? {
        guard stop > 0, let base = window.baseAddress else { return nil }
        let found = aegix_find_last(base, stop, 0x0A)
        return found < 0 ? nil : found
    }
}
