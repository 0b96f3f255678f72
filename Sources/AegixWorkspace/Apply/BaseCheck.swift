// Side effects: reads the workspace. Whether it still is what a run began with.

import AegixSystem
import Glibc

/// A chosen change that is still to be made, with what it finds.
struct Checked: Sendable {
    var change: Change
    /// At its path, or, inside a directory that moves, where that is now.
    var found: Entry?
    /// At `from` of a rename; nil: it is gone already.
    var foundSource: Entry?
    /// Only the old name of a rename is left to be removed.
    var isThere = false
    /// What goes was in the directory that made room for one that moves to the same path, not in that one.
    var isOfOld = false
    /// It is there already as a file of its own, and is to become a name of another one.
    var joins = false
}

/// Compares each path with what the list says of it: by what it is on disk, and where that differs, by content.
///
/// A path that already is as wanted needs nothing, so two runs that did the same don't conflict. Not done here: the
/// look after the step, which finds what changed in between.
final class BaseCheck {
    private let base: Tree
    private let device: UInt64
    private let reader = EntryReader(ListingBounds())
    /// Where directories that move come from, by where they go.
    let moves: [Bytes: Bytes]
    /// Paths of the list that were there before, or are taken from elsewhere: what a directory that goes may hold.
    private var known: Set<Bytes> = []
    /// Directories that come to be: what is beneath needs no directory now.
    private var makers: Set<Bytes> = []
    private var leavers: Set<Bytes> = []
    private(set) var needed: [Checked] = []
    private(set) var conflicts: [Conflict] = []
    private var held: (path: Bytes, tree: Tree)?

    init(_ changes: [Change], in base: Tree) throws(SystemError) {
        self.base = base
        device = try FileFacts(of: base.descriptor).device
        var moves: [Bytes: Bytes] = [:]
        for change in changes {
            if let from = change.from {
                if change.after?.kind == .directory { moves[change.path] = from }
                known.insert(from)
                leavers.insert(from)
            }
            if change.before != nil, change.kind != .renamed { known.insert(change.path) }
            if change.after?.kind == .directory, change.kind != .mode { makers.insert(change.path) }
            if change.after == nil { leavers.insert(change.path) }
        }
        self.moves = moves
        for change in changes {
            do throws(SystemError) {
                try check(change)
            } catch {
                guard let reason = BaseCheck.reason(error) else { throw error }
                conflicts.append(Conflict(change.path, reason))
            }
        }
    }

    /// Where a path's directory lies now.
    func place(of path: Bytes) -> Bytes {
        var above = Path.relativeParent(path)
        while !above.isEmpty {
            if let from = moves[above] { return from + path[above.count...] }
            above = Path.relativeParent(above)
        }
        return path
    }

    private func check(_ change: Change) throws(SystemError) {
        var place = place(of: change.path)
        if change.kind == .renamed { return try renamed(change, place) }
        var checked = Checked(change: change)
        if change.after == nil, try isOfOld(change.path, change.before) {
            (place, checked.isOfOld) = (change.path, true)
        }
        let found = try facts(place, makes: change.before == nil)
        if let found {
            let tree = try parent(of: place)
            checked.joins = try joins(change, found)
            let isRaced = change.flags.contains(.raced)
            if !isRaced, let before = change.before, try isSame(before, found, place, in: tree) {
                checked.found = Entry(found)
                checked.found?.digest = before.digest
                if found.isDirectory, change.after?.kind != .directory { try isComplete(place, change.path) }
                if change.after == nil { _ = try tree.place(Path.name(place)) }
            } else if !checked.joins, let after = change.after, try isWanted(after, found, place, change, in: tree) {
                return
            } else {
                let reason =
                    change.before == nil
                    ? "was made by somebody else meanwhile"
                    : isRaced
                        ? "was changed by somebody else while the run went on" : "was changed since the run ended"
                return conflicts.append(Conflict(change.path, reason))
            }
        } else if change.after == nil {
            return
        } else if change.before != nil {
            return conflicts.append(Conflict(change.path, "is gone since the run ended"))
        }
        needed.append(checked)
    }

    private func renamed(_ change: Change, _ place: Bytes) throws(SystemError) {
        guard let from = change.from, let before = change.before, let after = change.after else { return }
        let isDirectory = after.kind == .directory
        var checked = Checked(change: change)
        if !isDirectory { checked.isOfOld = try isOfOld(from, before) }
        let source = isDirectory || checked.isOfOld ? from : self.place(of: from)
        if let found = try facts(source, makes: false) {
            let tree = try parent(of: source)
            let isSame = try isSame(before, found, source, in: tree)
            if change.flags.contains(.raced) || !isSame {
                return conflicts.append(Conflict(from, "was changed since the run began"))
            }
            _ = try tree.place(Path.name(source))
            checked.foundSource = Entry(found)
            checked.foundSource?.digest = before.digest
        } else if isDirectory {
            return conflicts.append(Conflict(from, "is gone since the run ended"))
        }
        if let found = try facts(place, makes: true), !leavers.contains(change.path) {
            let isWanted = try isWanted(after, found, place, change, in: try parent(of: place))
            if isDirectory || !isWanted {
                return conflicts.append(Conflict(change.path, "was made by somebody else meanwhile"))
            }
            if checked.foundSource == nil { return }
            checked.isThere = true
        }
        needed.append(checked)
    }

    /// Files that are alike, but aren't one file yet.
    private func joins(_ change: Change, _ found: FileFacts) throws(SystemError) -> Bool {
        guard change.kind == .mode, found.isFile, let leader = change.linkOf else { return false }
        return try facts(place(of: leader), makes: true)?.inode != found.inode
    }

    // MARK: - What is there

    /// Where a directory was removed and another moved into its place, a path beneath is of the one or of the other.
    private func isOfOld(_ path: Bytes, _ before: Entry?) throws(SystemError) -> Bool {
        if moves.isEmpty || place(of: path) == path { return false }
        var above = Path.relativeParent(path)
        while !above.isEmpty, !(moves[above] != nil && leavers.contains(above)) { above = Path.relativeParent(above) }
        if above.isEmpty { return false }
        return try facts(path, makes: true)?.inode == before?.identity.inode
    }

    /// - makes: the path's directory may be one that the changes make.
    private func facts(_ path: Bytes, makes: Bool) throws(SystemError) -> FileFacts? {
        do throws(SystemError) {
            let facts = try parent(of: path).facts(name: path.isEmpty ? Bytes(".") : Path.name(path))
            if let facts, facts.device != device { throw SystemError("stat", path, errno: EXDEV) }
            return facts
        } catch {
            if error.errno == ENOENT { return nil }
            if error.errno == ENOTDIR || error.errno == ELOOP, makes, hasMaker(path) { return nil }
            throw error
        }
    }

    private func hasMaker(_ path: Bytes) -> Bool {
        var above = Path.relativeParent(path)
        while !above.isEmpty {
            if makers.contains(above) { return true }
            above = Path.relativeParent(above)
        }
        return false
    }

    /// Most paths lie in the directory of the one before.
    private func parent(of path: Bytes) throws(SystemError) -> Tree {
        let wanted = Path.relativeParent(path)
        if let held, held.path == wanted { return held.tree }
        let tree = try base.directory(wanted)
        held = (wanted, tree)
        return tree
    }

    private func isSame(
        _ before: Entry, _ found: FileFacts, _ path: Bytes, in tree: Tree
    ) throws(SystemError) -> Bool {
        let now = Entry(found)
        if now.kind != before.kind || now.mode != before.mode { return false }
        if now.kind == .directory {
            let full = try reader.entry(name(path), in: tree, found, own: false)
            return full.attributes == before.attributes
        }
        if now.identity.device == before.identity.device, now.identity.inode == before.identity.inode,
            now.identity.changed == before.identity.changed, now.size == before.size, now.modified == before.modified
        {
            return true
        }
        let full = try reader.entry(name(path), in: tree, found, own: false)
        return full.hasContent(of: before) && full.attributes == before.attributes
    }

    private func isWanted(
        _ after: Entry, _ found: FileFacts, _ path: Bytes, _ change: Change, in tree: Tree
    ) throws(SystemError) -> Bool {
        let now = Entry(found)
        if now.kind != after.kind || found.permissions & ~0o7000 != after.mode & ~0o7000 { return false }
        if now.kind == .file, now.size != after.size { return false }
        if change.kind == .mode, now.kind == .file, now.modified != after.modified { return false }
        let full = try reader.entry(name(path), in: tree, found, own: false)
        return full.hasContent(of: after) && full.attributes == after.attributes
    }

    private func name(_ path: Bytes) -> Bytes { path.isEmpty ? Bytes(".") : Path.name(path) }

    /// A directory that goes holds nothing that the list doesn't know. Each one inside of it is asked by itself.
    private func isComplete(_ place: Bytes, _ path: Bytes) throws(SystemError) {
        for entry in try base.directory(place).entries() {
            let (below, listed) = (Path.join(place, entry.name), Path.join(path, entry.name))
            if known.contains(listed) || moves.values.contains(below) { continue }
            conflicts.append(Conflict(listed, "was made by somebody else meanwhile, in a directory that would go"))
        }
    }

    /// What of the failures says that something stands in the way; nil: something is broken.
    static func reason(_ error: SystemError) -> String? {
        switch error.errno {
        case ELOOP, ENOTDIR: "doesn't lie in a directory any more: a link or a file stands in its way"
        case EXDEV: "is a mount point, or lies on another file system"
        case EACCES: "can't be looked at: permission denied"
        case ENOENT, ESTALE: "went away while it was looked at"
        default: nil
        }
    }
}
