// Pure data. How much of anything a record holds: 2 MiB of argv times 10,000 execs would be 20 GB.

import AegixSystem

enum RecordBounds {
    /// The invocation's argv, and the command's: what a kernel takes by default, so that a replay has all of it.
    static let argv = 2 << 20
    static let execArgv = 4096
    static let execs = 10_000
    /// `processes`, as JSON.
    static let execBytes = 8 << 20
    static let violations = 1000
    static let network = 20_000
    /// `network`, as JSON.
    static let networkBytes = 8 << 20
    static let changes = 10_000
    /// `changes`, as JSON.
    static let changeBytes = 8 << 20
    /// Copied and skipped ones.
    static let artifacts = 11_000
    /// `artifacts`, as JSON.
    static let artifactBytes = 8 << 20
    static let inputs = 10_000
    /// `inputs`, as JSON.
    static let inputBytes = 8 << 20
    static let loaded = 10_000
    /// `loaded`, as JSON.
    static let loadedBytes = 4 << 20
    static let variables = 1024
    static let variableBytes = 256 << 10
    static let controls = 256
    static let sources = 64
    static let views = 4096
    static let viewBytes = 1 << 20
    static let labels = 64
    static let labelBytes = 16 << 10
    static let message = 4096
    static let text = 1 << 20
    static let eventBytes = 8 << 20
    static let events = 20_000
}

/// What was left out of the record's arrays: the record's member `cut`.
struct Cuts: Equatable, Sendable {
    private(set) var entries: [String: Entry] = [:]

    struct Entry: Equatable, Sendable {
        var kept: Int
        /// nil: nobody counted.
        var of: UInt64?
    }

    mutating func note(_ array: String, kept: Int, of total: UInt64) {
        if UInt64(kept) < total { entries[array] = Entry(kept: kept, of: total) }
    }

    /// What there is more was never looked at.
    mutating func note(_ array: String, kept: Int) { entries[array] = Entry(kept: kept, of: nil) }

    mutating func merge(_ other: Cuts) { entries.merge(other.entries) { $1 } }

    func write(into json: inout JSONWriter) {
        json.object { json in
            for (name, entry) in entries.sorted(by: { Bytes($0.key).lexicographicallyPrecedes(Bytes($1.key)) }) {
                json.key(name)
                json.object { json in
                    json.key("kept")
                    json.int(entry.kept)
                    json.key("of")
                    json.optional(entry.of) { $0.size($1) }
                }
            }
        }
    }
}

/// The longest start of `items` whose sizes add up to no more than the bound.
func bounded<Items: Collection>(_ items: Items, count: Int, bytes: Int, size: (Items.Element) -> Int)
    -> Items.SubSequence
{
    var total = 0
    var kept = 0
    for item in items.prefix(count) {
        total += size(item)
        if total > bytes { break }
        kept += 1
    }
    return items.prefix(kept)
}

/// The first bytes, without half a character at the end: a cut must not make text of what was text into base64.
func shortened(_ bytes: Bytes, to count: Int) -> Bytes {
    if bytes.count <= count { return bytes }
    var end = count
    while end > 0, end > count - 4, bytes[end] & 0xC0 == 0x80 { end -= 1 }
    return Bytes(bytes[..<(bytes[end] & 0xC0 == 0x80 ? count : end)])
}
