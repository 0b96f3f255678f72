// Side effects: reads directories.

import AegixSystem
import Glibc

/// What a directory tree holds on disk, a file with several names once.
public struct TreeSize: Equatable, Sendable {
    public var bytes: UInt64 = 0
    public var entries: UInt64 = 0
    /// There is more: it is deeper, has more entries, or took longer, than is counted.
    public var isCut = false

    private static let deepest = 256
    private static let most: UInt64 = 1_000_000

    public init() {}

    /// - until: by the monotonic clock.
    public static func measure(_ path: Bytes, until deadline: UInt64 = .max) throws(SystemError) -> TreeSize {
        try measure(try Tree(at: path), until: deadline)
    }

    public static func measure(_ tree: Tree, until deadline: UInt64 = .max) throws(SystemError) -> TreeSize {
        var size = TreeSize()
        var seen: Set<Entry.Identity> = []
        try size.add(tree, &seen, depth: 0, deadline)
        return size
    }

    public static func + (a: TreeSize, b: TreeSize) -> TreeSize {
        var sum = a
        sum.bytes += b.bytes
        sum.entries += b.entries
        sum.isCut = a.isCut || b.isCut
        return sum
    }

    private mutating func add(
        _ tree: Tree, _ seen: inout Set<Entry.Identity>, depth: Int, _ deadline: UInt64
    ) throws(SystemError) {
        for (count, entry) in try tree.entries().enumerated() {
            if count % 256 == 0, Clock.monotonic() >= deadline {
                isCut = true
                return
            }
            guard let facts = try tree.facts(name: entry.name) else { continue }
            if facts.links > 1, !facts.isDirectory, !seen.insert(Entry(facts).identity).inserted { continue }
            bytes += facts.bytes
            entries += 1
            if entries >= TreeSize.most || depth >= TreeSize.deepest {
                isCut = true
                return
            }
            if !facts.isDirectory { continue }
            do throws(SystemError) {
                try add(try tree.directory(entry.name), &seen, depth: depth + 1, deadline)
            } catch {
                // Closed by the run, or removed meanwhile.
                if ![EACCES, ENOENT].contains(error.errno) { throw error }
                isCut = isCut || error.errno == EACCES
            }
        }
    }
}
