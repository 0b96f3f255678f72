// Side effects: reads a workspace. What it was before a run that writes in place.

import AegixSystem
import Glibc

/// Every entry of a workspace at one moment, to compare it with later. A run in mode `direct` leaves no layer that would say what it
/// changed. Cost follows the workspace, and is bounded: contents are digested up to `bytes`; what was read no more of is known by its
/// size and times.
public final class WorkspaceSnapshot {
    public struct Bounds: Sendable {
        public var entries = 100_000
        public var depth = 256
        /// Digested in all, and of one file.
        public var bytes: UInt64 = 256 << 20
        public var fileBytes: UInt64 = 16 << 20
        /// Nanoseconds.
        public var time: UInt64 = 20_000_000_000

        public init() {}
    }

    public let workspace: Bytes
    let top: Tree
    private(set) var entries: [Bytes: Entry] = [:]
    /// Directories all of whose names are known. In the others nothing can be told to be new.
    private(set) var complete: Set<Bytes> = []
    private(set) var cut: Set<ChangeList.Bound> = []
    /// What git and package managers obeyed before, as far as a judgement asks for it.
    private(set) var texts: [Bytes: Bytes] = [:]
    /// Of a file that was changed just before, a second change may leave no other time.
    let taken: Int64
    private let bounds: Bounds
    private let reader: EntryReader
    private var left: UInt64

    /// A clock tick of the coarsest kernels, twice.
    private static let tick: Int64 = 20_000_000
    private static let judged = Set(
        ["config", "config.worktree", "package.json", ".git", ".gitattributes"].map { Bytes($0) })

    public init(of workspace: Bytes, bounds: Bounds = Bounds()) throws(SystemError) {
        self.workspace = workspace
        self.bounds = bounds
        left = bounds.bytes
        var reading = ListingBounds()
        reading.time = bounds.time
        reader = EntryReader(reading)
        top = try Tree(at: workspace)
        taken = Int64(Clock.realtime())
        if let facts = try top.facts(name: Bytes(".")) { entries[[]] = Entry(facts) }
        try walk(top, [], depth: 0)
        cut.formUnion(reader.cut)
    }

    private func walk(_ tree: Tree, _ path: Bytes, depth: Int) throws(SystemError) {
        if depth > bounds.depth { return cut.formUnion([.depth]) }
        for entry in try tree.entries() {
            if entries.count >= bounds.entries { return cut.formUnion([.entries]) }
            if reader.cut.contains(.time) { return }
            guard let facts = try tree.facts(name: entry.name) else { continue }
            let place = LayerWalk.under(path, entry.name)
            entries[place] = try self.entry(entry.name, in: tree, facts, place)
            if !facts.isDirectory { continue }
            do throws(SystemError) {
                try walk(try tree.directory(entry.name), place, depth: depth + 1)
            } catch {
                // A mount point, or closed to us; gone since.
                if ![EXDEV, EACCES, ENOENT].contains(error.errno) { throw error }
            }
        }
        complete.insert(path)
    }

    private func entry(_ name: Bytes, in tree: Tree, _ facts: FileFacts, _ place: Bytes) throws(SystemError) -> Entry {
        if facts.isFile {
            if facts.size > bounds.fileBytes || facts.size > left { return Entry(facts) }
            left -= facts.size
            if WorkspaceSnapshot.judged.contains(name) { texts[place] = text(name, in: tree) }
        }
        return try reader.entry(name, in: tree, facts, own: false)
    }

    private func text(_ name: Bytes, in tree: Tree) -> Bytes? {
        do throws(SystemError) {
            return try tree.file(name).readAll(limit: 1 << 16)
        } catch {
            return nil  // What can't be looked at counts as the worst.
        }
    }

    /// Whether a stat alone says that nothing happened to it.
    func isUntouched(_ old: Entry, _ now: FileFacts) -> Bool {
        guard Entry.Kind(now.type) == old.kind, old.kind != .directory else { return false }
        let identity = Entry(now).identity
        return identity == old.identity && old.identity.changed < taken - WorkspaceSnapshot.tick
    }
}

/// What judging the changes of a run in place asks for.
public final class SnapshotSurroundings: Surroundings {
    private let snapshot: WorkspaceSnapshot

    public init(_ snapshot: WorkspaceSnapshot) { self.snapshot = snapshot }

    public var workspace: Bytes { snapshot.workspace }

    public func kind(_ path: Bytes) -> Entry.Kind? { snapshot.entries[path]?.kind }

    /// Nothing is listed as a directory that moved.
    public func beneath(_ directory: Bytes) -> [(path: Bytes, kind: Entry.Kind)]? { nil }

    public func before(_ path: Bytes) -> Bytes? { snapshot.texts[path] }

    public func after(_ path: Bytes) -> Bytes? {
        do throws(SystemError) {
            return try snapshot.top.file(path).readAll(limit: 1 << 20)
        } catch {
            return nil
        }
    }
}
