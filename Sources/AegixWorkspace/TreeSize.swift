// Side effects: reads directories.

import AegixSystem
import Glibc

/// What a directory tree holds on disk, a file with several names once.
public struct TreeSize: Equatable, Sendable {
    public var bytes: UInt64 = 0
    public var entries: UInt64 = 0
    /// There is more: it is deeper, or has more entries, than is counted.
    public var isCut = false

    private static let deepest = 256
    private static let most: UInt64 = 1_000_000

    public static func measure(_ path: Bytes) throws(SystemError) -> TreeSize {
        var size = TreeSize()
        var seen: Set<Entry.Identity> = []
        try size.add(try Tree(at: path), &seen, depth: 0)
        return size
    }

    private mutating func add(_ tree: Tree, _ seen: inout Set<Entry.Identity>, depth: Int) throws(SystemError) {
        for entry in try tree.entries() {
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
                try add(try tree.directory(entry.name), &seen, depth: depth + 1)
            } catch {
                // Closed by the run, or removed meanwhile.
                if ![EACCES, ENOENT].contains(error.errno) { throw error }
                isCut = isCut || error.errno == EACCES
            }
        }
    }
}
