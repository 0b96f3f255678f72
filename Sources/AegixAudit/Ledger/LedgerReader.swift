// Side effects: reads `<state>/ledger.jsonl` from its end.

import AegixSystem
import CAegix
import Glibc

/// Lines, newest first, without reading more of the file than is asked for. There is no index: a filter is a search for bytes,
/// and goes through 100,000 entries in a few hundredths of a second. So nothing but the ledger has to be believed.
struct LedgerReader: ~Copyable {
    private let file: Descriptor
    private static let chunk = 64 << 10
    private static let longestChunk = 1 << 20
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
    func newestLines(_ visit: (LedgerText) -> Bool) throws(SystemError) -> Bool {
        var end = try StateFile.facts(file).size
        let lowest = end > LedgerReader.bound ? end - LedgerReader.bound : 0
        var room = LedgerReader.chunk
        var rest = Bytes()
        while end > lowest {
            let start = end > UInt64(room) ? end - UInt64(room) : 0
            let window = try Ledger.read(file, from: start, count: Int(end - start)) + rest
            let more: Int? = window.withUnsafeBytes { window in
                var stop = window.count
                while let newline = LedgerReader.newline(in: window, before: stop) {
                    let line = UnsafeRawBufferPointer(rebasing: window[(newline + 1)..<stop])
                    if !line.isEmpty, !visit(LedgerText(bytes: line)) { return nil }
                    stop = newline
                }
                return stop
            }
            guard let more else { return true }
            // No line is that long; what is, isn't ours.
            rest = more > LedgerReader.longestChunk ? [] : Bytes(window[..<more])
            end = start
            room = min(room * 4, LedgerReader.longestChunk)
        }
        if lowest > 0 { return false }
        if !rest.isEmpty { rest.withUnsafeBytes { _ = visit(LedgerText(bytes: $0)) } }
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
