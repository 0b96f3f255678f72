// Side effects: moves what a run changed in its copy of the workspace into the run's layer.

import AegixSystem
import CAegix
import Glibc

/// Leaves in `upper` what overlayfs would have left there: changed and new entries, a whiteout for each that is gone, and
/// the directories on the way. A file counts as changed when its content, mode, time, user xattrs or names did.
public final class CopyChanges {
    /// Whose the layer is, when root takes the changes of a command that ran as somebody else.
    public struct Owner: Equatable, Sendable {
        public var uid: uid_t
        public var gid: gid_t

        public init(uid: uid_t, gid: gid_t) {
            self.uid = uid
            self.gid = gid
        }
    }

    private let known: [Bytes: WorkspaceCopy.Known]
    private let children: [Bytes: [Bytes]]
    private let plan: WorkspaceCopy
    private let owner: Owner?
    private let top: Tree
    private let upper: Tree
    private var bytes: UInt64 = 0
    /// Directories made in the layer, open to us until all is in them, and the modes that they get then.
    private var modes: [(path: Bytes, mode: mode_t)] = []
    private var ways: Set<Bytes> = [[]]
    /// Files with several names: those that they had, and those that they have.
    private var namesBefore: [UInt64: Set<Bytes>] = [:]
    private var namesNow: [UInt64: Set<Bytes>] = [:]
    private var touched: [UInt64: Bool] = [:]
    private var copied: [UInt64: Bytes] = [:]
    /// Where the layer takes no whiteouts.
    private var deleted: [Bytes] = []

    /// `top`: the copy.
    public init(_ plan: WorkspaceCopy, top: Tree, known: [Bytes: WorkspaceCopy.Known], owner: Owner?)
        throws(SystemError)
    {
        self.plan = plan
        self.top = top
        self.known = known
        children = Dictionary(grouping: known.keys.filter { !$0.isEmpty }, by: Path.relativeParent)
        self.owner = owner
        upper = try Tree(at: plan.upper)
        for (path, entry) in known {
            if case .file(let file) = entry { namesBefore[file.inode, default: []].insert(path) }
        }
    }

    /// Stages: the names that files have now; the walk, which moves; the modes of the layer's directories.
    public func take() throws(Failure) {
        do {
            let facts = try FileFacts(of: top.descriptor)
            let mode = facts.permissions & 0o1777
            modes = [([], mode)]
            if fchmod(upper.raw, 0o700) < 0 { throw SystemError.last("chmod", plan.upper) }
            try findNames(top, [], depth: 0)
            try directory(top, [], mode: mode, depth: 0)
            for (path, mode) in modes.reversed() {
                let name = path.isEmpty ? Bytes(".") : path
                if name.withCString({ fchmodat(upper.raw, $0, mode, 0) }) < 0 { throw SystemError.last("chmod", path) }
            }
            if !deleted.isEmpty { try DeletedNames.write(deleted, beside: plan.upper) }
            if let shifts = plan.shift { try restore(upper, shifts, depth: 0) }
        } catch let error as SystemError {
            throw Failure(
                "layer.copy", "can't take the changes out of the workspace's copy: \(error)", errno: error.errno,
                exitCode: 123)
        } catch {
            throw Failure("layer.copy", "can't take the changes out of the workspace's copy: \(error)", exitCode: 123)
        }
    }

    private func findNames(_ tree: Tree, _ path: Bytes, depth: Int) throws(SystemError) {
        if depth > WorkspaceCopy.deepest { throw SystemError("open", path, errno: ELOOP) }
        for entry in try tree.entries() {
            let place = path.isEmpty ? entry.name : Path.join(path, entry.name)
            guard !isLeftOut(place), let facts = try tree.facts(name: entry.name) else { continue }
            if facts.isDirectory {
                let inner = try open(entry.name, in: tree, facts)
                try findNames(inner, place, depth: depth + 1)
                if fchmod(inner.raw, facts.permissions) < 0 { throw SystemError.last("chmod", place) }
            } else if facts.isFile, facts.links > 1 {
                namesNow[facts.inode, default: []].insert(place)
            }
        }
    }

    /// The layer says who owns a file on the disk.
    private func restore(_ tree: Tree, _ shifts: OwnerShifts, depth: Int) throws(SystemError) {
        if depth > WorkspaceCopy.deepest { throw SystemError("open", errno: ELOOP) }
        for name in try tree.entries().map(\.name) {
            guard let facts = try tree.facts(name: name) else { continue }
            let (owner, group) = (shifts.users.onDisk(facts.owner), shifts.groups.onDisk(facts.group))
            if owner != facts.owner || group != facts.group,
                name.withCString({ fchownat(tree.raw, $0, owner, group, AT_SYMLINK_NOFOLLOW) }) < 0
            {
                throw SystemError.last("chown", name)
            }
            if facts.isDirectory { try restore(try tree.directory(name), shifts, depth: depth + 1) }
        }
    }

    /// Open to us from now on, whatever mode the command left it.
    private func open(_ name: Bytes, in tree: Tree, _ facts: FileFacts) throws(SystemError) -> Tree {
        if facts.permissions & 0o700 != 0o700, name.withCString({ fchmodat(tree.raw, $0, 0o700, 0) }) < 0 {
            throw SystemError.last("chmod", name)
        }
        return try tree.directory(name)
    }

    private func isLeftOut(_ place: Bytes) -> Bool { plan.leftOut.contains(Path.join(plan.source, place)) }

    /// A directory that was copied and is one still, with the mode that the command left it.
    private func directory(_ tree: Tree, _ path: Bytes, mode: mode_t, depth: Int) throws {
        if depth > WorkspaceCopy.deepest { throw SystemError("open", path, errno: ELOOP) }
        if fchmod(tree.raw, 0o700) < 0 { throw SystemError.last("chmod", path) }
        let attributes = try Attributes.digest(of: tree.descriptor)
        if known[path] != .directory(mode: mode, attributes: attributes) { try makeWay(to: path, mode: mode) }
        var seen: Set<Bytes> = []
        for entry in try tree.entries() {
            let place = path.isEmpty ? entry.name : Path.join(path, entry.name)
            seen.insert(place)
            // Made anew where something is denied: the next run must not see it either.
            if isLeftOut(place) { continue }
            try take(entry.name, in: tree, place, depth: depth)
        }
        for gone in children[path] ?? [] where !seen.contains(gone) {
            try makeWay(to: path, mode: known[path]?.mode ?? mode)
            if gone.withCString({ aegix_make_whiteout(upper.raw, $0) }) == 0 { continue }
            if errno != EPERM && errno != EOPNOTSUPP { throw SystemError.last("mknod", gone) }
            deleted.append(gone)
        }
    }

    private func take(_ name: Bytes, in tree: Tree, _ place: Bytes, depth: Int) throws {
        guard let facts = try tree.facts(name: name) else { return }
        switch (facts.type, known[place]) {
        case (S_IFDIR, .directory):
            let inner = try open(name, in: tree, facts)
            try directory(inner, place, mode: facts.permissions & 0o1777, depth: depth + 1)
        case (S_IFREG, .file(let file)):
            if try isAsBefore(name, in: tree, facts, file) { return }
            try move(name, in: tree, place, facts)
        case (S_IFLNK, .link(let target)):
            if try tree.link(name) == target { return }
            try move(name, in: tree, place, facts)
        case (S_IFREG, _), (S_IFLNK, _), (S_IFDIR, _): try move(name, in: tree, place, facts)
        // A FIFO or socket of the run's own: nothing is behind it any more, and it is told.
        default: try move(name, in: tree, place, facts)
        }
    }

    /// A file with several names goes with all of them or with none, so that they stay names of one.
    private func isAsBefore(
        _ name: Bytes, in tree: Tree, _ facts: FileFacts, _ file: WorkspaceCopy.Known.File
    ) throws(SystemError) -> Bool {
        if let found = touched[facts.inode] { return !found }
        var isSame = try hasContent(name, in: tree, facts, of: file)
        if facts.links > 1 || file.links > 1 {
            let now = namesNow[facts.inode] ?? []
            isSame = isSame && facts.inode == file.inode && namesBefore[file.inode] == now
            touched[facts.inode] = !isSame
        }
        return isSame
    }

    /// Also of a file that its mode closes to us.
    private func hasContent(
        _ name: Bytes, in tree: Tree, _ facts: FileFacts, of file: WorkspaceCopy.Known.File
    ) throws(SystemError) -> Bool {
        if facts.permissions != file.mode || facts.size != file.size || facts.modified != file.modified { return false }
        let mode = facts.permissions
        if mode & 0o400 == 0, name.withCString({ fchmodat(tree.raw, $0, mode | 0o400, 0) }) < 0 {
            throw SystemError.last("chmod", name)
        }
        let opened = try tree.file(name)
        if mode & 0o400 == 0, fchmod(opened.raw, mode) < 0 { throw SystemError.last("chmod", name) }
        if try Attributes.digest(of: opened) != file.attributes { return false }
        return try opened.digest().digest == file.digest
    }

    private func move(_ name: Bytes, in tree: Tree, _ place: Bytes, _ facts: FileFacts) throws {
        try makeWay(to: Path.relativeParent(place))
        let mode = facts.permissions & 0o1777
        let isClosed = facts.isDirectory && mode & 0o300 != 0o300
        if isClosed { _ = name.withCString { fchmodat(tree.raw, $0, 0o700, 0) } }
        let rc = name.withCString { from in place.withCString { aegix_move(tree.raw, from, upper.raw, $0) } }
        if rc < 0, errno == EXDEV { return try copyAcross(name, in: tree, place, facts, depth: 0) }
        if rc < 0 { throw SystemError.last("rename", place) }
        if isClosed, place.withCString({ fchmodat(upper.raw, $0, mode, 0) }) < 0 {
            throw SystemError.last("chmod", place)
        }
    }

    /// The layer lies on another file system than the copy, as confined's for root.
    private func copyAcross(_ name: Bytes, in tree: Tree, _ place: Bytes, _ facts: FileFacts, depth: Int) throws {
        if depth > WorkspaceCopy.deepest { throw SystemError("open", place, errno: ELOOP) }
        switch facts.type {
        case S_IFLNK:
            let target = try tree.link(name)
            if target.withCString({ text in place.withCString { aegix_symlinkat(text, upper.raw, $0) } }) < 0 {
                throw SystemError.last("symlink", place)
            }
        case S_IFREG:
            if facts.links > 1, let other = copied[facts.inode] {
                let rc = other.withCString { old in place.withCString { linkat(upper.raw, old, upper.raw, $0, 0) } }
                if rc < 0 { throw SystemError.last("link", place) }
                return
            }
            try copyFile(try tree.file(name), place, facts)
            if facts.links > 1 { copied[facts.inode] = place }
        case S_IFDIR:
            let inner = try open(name, in: tree, facts)
            try makeWay(to: place, mode: facts.permissions & 0o1777)
            for entry in try inner.entries() {
                guard let found = try inner.facts(name: entry.name) else { continue }
                try copyAcross(entry.name, in: inner, Path.join(place, entry.name), found, depth: depth + 1)
            }
            return
        default: return
        }
        try give(place)
    }

    private func copyFile(_ source: borrowing Descriptor, _ place: Bytes, _ facts: FileFacts) throws(SystemError) {
        let target = try Descriptor.open(place, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600, at: upper.raw)
        let room = plan.mostBytes - min(bytes, plan.mostBytes)
        if aegix_clone_file(source.raw, target.raw) < 0, aegix_copy_data(source.raw, target.raw, room) < 0 {
            throw SystemError.last("copy", place)
        }
        bytes += facts.bytes
        try Attributes.copy(source, to: target)
        if fchmod(target.raw, facts.permissions & 0o777) < 0 { throw SystemError.last("chmod", place) }
        try FileAttributes.stamp(target, facts.modified)
    }

    /// Directories of the layer down to `path`. The top is there.
    private func makeWay(to path: Bytes, mode: mode_t? = nil) throws(SystemError) {
        if !ways.insert(path).inserted { return }
        try makeWay(to: Path.relativeParent(path))
        if path.withCString({ mkdirat(upper.raw, $0, 0o700) }) < 0 { throw SystemError.last("mkdir", path) }
        try give(path)
        try Attributes.copy(try top.directory(path).descriptor, to: try upper.directory(path).descriptor)
        modes.append((path, mode ?? known[path]?.mode ?? 0o755))
    }

    private func give(_ path: Bytes) throws(SystemError) {
        guard let owner else { return }
        if path.withCString({ fchownat(upper.raw, $0, owner.uid, owner.gid, AT_SYMLINK_NOFOLLOW) }) < 0 {
            throw SystemError.last("chown", path)
        }
    }
}
