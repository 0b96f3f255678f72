// Side effects: reads a workspace. What became of it since a snapshot.

import AegixSystem
import Glibc

/// Compares a workspace with what it was: the changes of a run that wrote in place, and of whoever else wrote meanwhile, which
/// can't be told apart. Files that a stat shows untouched aren't read.
public final class SnapshotComparison {
    private let snapshot: WorkspaceSnapshot
    private let bounds: ListingBounds
    private let reader: EntryReader
    private var changes: [Change] = []
    private var seen: Set<Bytes> = [[]]
    /// Directories all of whose names were seen.
    private var complete: Set<Bytes> = []
    private var visited = 0
    /// Names of files that have several, and those of them that were there before as what they are.
    private var names: [Object: [Bytes]] = [:]

    private struct Object: Hashable {
        var device: UInt64
        var inode: UInt64

        init(_ identity: Entry.Identity) { (device, inode) = (identity.device, identity.inode) }
    }

    public init(with snapshot: WorkspaceSnapshot, bounds: ListingBounds = ListingBounds()) {
        self.snapshot = snapshot
        self.bounds = bounds
        reader = EntryReader(bounds)
    }

    public func list() throws(SystemError) -> ChangeList {
        if let old = snapshot.entries[[]], let facts = try snapshot.top.facts(name: Bytes(".")) {
            let new = Entry(facts)
            if old.mode != new.mode { changes.append(Change([], .mode, before: old, after: new)) }
        }
        try walk(snapshot.top, [], depth: 0)
        addDeleted()
        link()
        return ChangeList(
            Renames.pair(changes).sorted { $0.path.lexicographicallyPrecedes($1.path) },
            cut: reader.cut.union(snapshot.cut))
    }

    private func walk(_ tree: Tree, _ path: Bytes, depth: Int) throws(SystemError) {
        if depth > bounds.depth { return deeper(path) }
        for entry in try tree.entries() {
            // What was there, and as much again that is new.
            if changes.count >= bounds.entries || visited >= 2 * bounds.entries { return reader.note(.entries) }
            if reader.cut.contains(.time) { return }
            guard let facts = try tree.facts(name: entry.name) else { continue }
            visited += 1
            let place = LayerWalk.under(path, entry.name)
            seen.insert(place)
            if facts.isFile, facts.links > 1 { names[Object(Entry(facts).identity), default: []].append(place) }
            try look(entry.name, in: tree, facts, place, isNew: !snapshot.complete.contains(path))
            if !facts.isDirectory { continue }
            do throws(SystemError) {
                try walk(try tree.directory(entry.name), place, depth: depth + 1)
            } catch {
                if ![EXDEV, EACCES, ENOENT].contains(error.errno) { throw error }
            }
        }
        complete.insert(path)
    }

    /// - isNew: nothing can be said of what wasn't seen before, because not all was seen there.
    private func look(
        _ name: Bytes, in tree: Tree, _ facts: FileFacts, _ place: Bytes, isNew isUnsure: Bool
    ) throws(SystemError) {
        let old = snapshot.entries[place]
        if let old, snapshot.isUntouched(old, facts) { return }
        if old == nil, isUnsure, snapshot.entries[Path.relativeParent(place)]?.kind == .directory { return }
        let new = try reader.entry(name, in: tree, facts, own: false)
        guard let old else {
            return add(Change(place, new.kind == .symlink ? .symlink : .added, before: nil, after: new), facts)
        }
        var kind = Change.Kind.modified
        if new.hasContent(of: old) {
            if new.hasAttributes(of: old) { return }
            kind = .mode
        } else if new.kind == .symlink {
            kind = .symlink
        }
        add(Change(place, kind, before: old, after: new), facts)
    }

    private func deeper(_ path: Bytes) {
        reader.note(.depth)
        let entry = snapshot.entries[path]
        if changes.last?.path != path, let entry { changes.append(Change(path, .mode, before: entry, after: entry)) }
        if changes.last?.path == path { changes[changes.count - 1].flags.insert(.deeper) }
    }

    private func addDeleted() {
        var gone: Set<Bytes> = []
        for (path, old) in snapshot.entries.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) })
        where !seen.contains(path) {
            let parent = Path.relativeParent(path)
            let isReplaced = seen.contains(parent) && !complete.contains(parent) && !isDirectory(parent)
            guard complete.contains(parent) || gone.contains(parent) || isReplaced else { continue }
            gone.insert(path)
            add(Change(path, .deleted, before: old, after: nil), nil)
        }
    }

    /// Whether a change says that something else is there than a directory.
    private func isDirectory(_ path: Bytes) -> Bool {
        guard let after = changes.first(where: { $0.path == path })?.after else { return true }
        return after.kind == .directory
    }

    private func add(_ change: Change, _ now: FileFacts?) {
        var change = change
        if let now {
            if now.mode & 0o6000 != 0 { change.flags.insert(.setuid) }
            if change.after?.kind.isPlain == false { change.flags.insert(.special) }
            if now.isFile, now.links > 1, change.before != nil { change.flags.insert(.linked) }
        }
        for entry in [change.before, change.after] {
            if let entry, entry.kind == .file, entry.digest == nil { change.flags.insert(.undigested) }
        }
        changes.append(change)
    }

    /// Of the names of one file the first stands for its content, one that it had before rather than a new one.
    private func link() {
        for index in changes.indices {
            guard let after = changes[index].after, after.kind == .file, after.identity.links > 1,
                let all = names[Object(after.identity)]
            else { continue }
            let leader = all.first { snapshot.entries[$0].map { Object($0.identity) } == Object(after.identity) }
            if let leader = leader ?? all.first, leader != changes[index].path { changes[index].linkOf = leader }
        }
    }
}
