// Side effects: reads `<state>/ledger.jsonl` from its end.

import AegixSystem
import Glibc

/// Entries, newest first, without reading more of the file than is asked for.
struct LedgerReader: ~Copyable {
    private let file: Descriptor
    private static let chunk: UInt64 = 64 << 10
    /// The most that one command reads: some 100,000 entries.
    static let bound: UInt64 = 64 << 20

    /// nil where no run was ever recorded.
    static func open(in state: StateDirectory) throws(SystemError) -> LedgerReader? {
        do {
            return LedgerReader(file: try StateFile.openRegular(Ledger.name, in: state.root))
        } catch {
            if error.errno == ENOENT { return nil }
            throw error
        }
    }

    private init(file: consuming Descriptor) { self.file = file }

    /// Calls `visit` until it answers false. Returns false if the bound was reached first. Lines that aren't entries
    /// (torn ones) are passed over; `mentioning` skips, unparsed, lines without these bytes.
    func newestFirst(mentioning needle: Bytes = [], _ visit: (LedgerEntry) -> Bool) throws(SystemError) -> Bool {
        var end = try StateFile.facts(file).size
        let lowest = end > LedgerReader.bound ? end - LedgerReader.bound : 0
        var rest = Bytes()
        while end > lowest {
            let start = end > LedgerReader.chunk ? end - LedgerReader.chunk : 0
            let window = try Ledger.read(file, from: start, count: Int(end - start)) + rest
            var stop = window.count
            while let newline = window[..<stop].lastIndex(of: UInt8(ascii: "\n")) {
                if let entry = LedgerReader.entry(window[(newline + 1)..<stop], needle), !visit(entry) { return true }
                stop = newline
            }
            rest = Bytes(window[..<stop])
            // No line is that long; what is, isn't ours.
            if rest.count > 1 << 20 { rest = [] }
            end = start
        }
        if lowest > 0 { return false }
        if let entry = LedgerReader.entry(rest[...], needle) { _ = visit(entry) }
        return true
    }

    private static func entry(_ line: ArraySlice<UInt8>, _ needle: Bytes) -> LedgerEntry? {
        guard line.first == UInt8(ascii: "{") else { return nil }
        if !needle.isEmpty, !contains(line, needle) { return nil }
        guard case .success(let json) = Result(catching: { () throws(JSONError) in try JSON.parse(Bytes(line)) }) else {
            return nil
        }
        return LedgerEntry(json)
    }

    private static func contains(_ line: ArraySlice<UInt8>, _ needle: Bytes) -> Bool {
        var at = line.startIndex
        while at + needle.count <= line.endIndex, let found = line[at...].firstIndex(of: needle[0]) {
            if line[found...].starts(with: needle) { return true }
            at = found + 1
        }
        return false
    }
}
