// Side effects: reads a workspace. What of it isn't as it was at a moment, as far as times tell.

import AegixSystem
import Glibc

/// Paths whose content, attributes or names changed after a moment. A change time can't be set by anybody, so nothing that was
/// written since is missed; a name that was taken away shows as a change of the directory that it was in. Bounded.
public struct ChangedSince: Sendable {
    public private(set) var paths: [Bytes] = []
    /// There may be others.
    public private(set) var isCut = false

    private static let mostPaths = 10_000
    private static let mostEntries = 500_000
    private static let deepest = 256
    private static let time: UInt64 = 20_000_000_000

    private let moment: Int64
    private let until: UInt64
    private var visited = 0

    public init(_ moment: Int64, in top: Tree) throws(SystemError) {
        self.moment = moment
        until = Clock.monotonic() + ChangedSince.time
        guard let facts = try top.facts(name: Bytes(".")) else { return }
        try walk(top, [], changed: facts.changed > moment, depth: 0)
        paths.sort { $0.lexicographicallyPrecedes($1) }
    }

    /// - changed: whether this directory's own change time is later. It is told where nothing in it says why.
    private mutating func walk(_ tree: Tree, _ path: Bytes, changed: Bool, depth: Int) throws(SystemError) {
        let before = paths.count
        var isTold = false
        for entry in try tree.entries() {
            visited += 1
            if depth > ChangedSince.deepest || visited > ChangedSince.mostEntries || Clock.monotonic() > until {
                isCut = true
                return
            }
            guard let facts = try tree.facts(name: entry.name) else { continue }
            let place = path.isEmpty ? entry.name : Path.join(path, entry.name)
            let isLater = facts.changed > moment
            if isLater { isTold = true }
            if facts.isDirectory {
                let below: Tree
                do throws(SystemError) {
                    below = try tree.directory(entry.name)
                } catch {
                    // Closed, another file system, or gone meanwhile: nothing in it can be told.
                    if isLater { note(place) }
                    isCut = true
                    continue
                }
                try walk(below, place, changed: isLater, depth: depth + 1)
            } else if isLater {
                note(place)
            }
        }
        if changed, !isTold, paths.count == before { note(path.isEmpty ? Bytes(".") : path) }
    }

    private mutating func note(_ path: Bytes) {
        if paths.count < ChangedSince.mostPaths { paths.append(path) } else { isCut = true }
    }
}
