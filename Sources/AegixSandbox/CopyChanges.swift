// Side effects: moves what a run changed in its copy of the workspace into the run's layer.

import AegixPlan
import AegixSystem
import CAegix
import Glibc

/// Leaves in `upper` what overlayfs would have left there: changed and new entries, a whiteout for each that is gone, and
/// the directories on the way. A file counts as changed when its content, mode or time of change did.
final class CopyChanges {
    private let known: [Bytes: TreeCopy.Known]
    private let children: [Bytes: [Bytes]]
    private let plan: ConfinedPlan.Copy
    private let owner: ConfinedPlan.Owner?
    private let upper: Descriptor
    private var bytes: UInt64 = 0
    /// Directories made in the layer, open to us until all is in them, and the modes that they get then.
    private var modes: [(path: Bytes, mode: mode_t)] = []
    private var ways: Set<Bytes> = [[]]

    init(_ plan: ConfinedPlan.Copy, known: [Bytes: TreeCopy.Known], owner: ConfinedPlan.Owner?) throws(SystemError) {
        self.plan = plan
        self.known = known
        children = Dictionary(grouping: known.keys.filter { !$0.isEmpty }, by: Path.relativeParent)
        self.owner = owner
        upper = try Descriptor.open(plan.upper, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
    }

    /// `top`: the copy, open.
    func take(_ top: Int32) throws(Failure) {
        do {
            var facts = stat()
            if fstat(top, &facts) < 0 { throw SystemError.last("fstat", plan.destination) }
            modes = [([], facts.st_mode & 0o1777)]
            if fchmod(upper.raw, 0o700) < 0 { throw SystemError.last("chmod", plan.upper) }
            try directory(top, [], mode: facts.st_mode & 0o1777, depth: 0)
            for (path, mode) in modes.reversed() {
                let name = path.isEmpty ? Bytes(".") : path
                if name.withCString({ fchmodat(upper.raw, $0, mode, 0) }) < 0 { throw SystemError.last("chmod", path) }
            }
        } catch let error as SystemError {
            throw Failure(
                "layer.copy", "can't take the changes out of the workspace's copy: \(error)", errno: error.errno,
                exitCode: 123)
        } catch {
            throw Failure("layer.copy", "can't take the changes out of the workspace's copy: \(error)", exitCode: 123)
        }
    }

    /// A directory that was copied and is one still, open to us by now, with the mode that the command left it.
    private func directory(_ directory: Int32, _ path: Bytes, mode: mode_t, depth: Int) throws {
        if depth > TreeCopy.deepest { throw SystemError("open", path, errno: ELOOP) }
        if known[path] != .directory(mode: mode) { try makeWay(to: path, mode: mode) }
        if fchmod(directory, 0o700) < 0 { throw SystemError.last("chmod", path) }
        var seen: Set<Bytes> = []
        for entry in try DirectoryListing.entries(
            try Descriptor.openBeneath(directory, Bytes("."), O_RDONLY | O_DIRECTORY))
        {
            let place = path.isEmpty ? entry.name : Path.join(path, entry.name)
            seen.insert(place)
            // Made anew where something is denied: the next run must not see it either.
            if plan.leftOut.contains(Path.join(plan.source.path, place)) { continue }
            try take(entry.name, in: directory, place, depth: depth)
        }
        for gone in children[path] ?? [] where !seen.contains(gone) {
            try makeWay(to: path, mode: known[path]?.mode ?? mode)
            let rc = gone.withCString { aegix_make_whiteout(upper.raw, $0) }
            if rc < 0 { throw SystemError.last("mknod", gone) }
        }
    }

    private func take(_ name: Bytes, in directory: Int32, _ place: Bytes, depth: Int) throws {
        var facts = stat()
        if name.withCString({ fstatat(directory, $0, &facts, AT_SYMLINK_NOFOLLOW) }) < 0 {
            throw SystemError.last("stat", place)
        }
        switch (facts.st_mode & S_IFMT, known[place]) {
        case (S_IFDIR, .directory):
            if name.withCString({ fchmodat(directory, $0, 0o700, 0) }) < 0 { throw SystemError.last("chmod", place) }
            let inner = try Descriptor.openBeneath(directory, name, O_RDONLY | O_DIRECTORY)
            try self.directory(inner.raw, place, mode: facts.st_mode & 0o1777, depth: depth + 1)
        case (S_IFREG, .file(let mode, let size, let seconds, let nanoseconds, let digest)):
            let isSame =
                facts.st_mode & 0o7777 == mode && Int64(facts.st_size) == size && facts.st_mtim.tv_sec == seconds
                && facts.st_mtim.tv_nsec == nanoseconds
            if try isSame && self.digest(name, in: directory, mode: mode) == digest { return }
            try move(name, in: directory, place, facts)
        case (S_IFLNK, .link(let target)):
            if try TreeCopy.link(directory, name) == target { return }
            try move(name, in: directory, place, facts)
        case (S_IFREG, _), (S_IFLNK, _), (S_IFDIR, _):
            try move(name, in: directory, place, facts)
        default: return  // a FIFO or socket of the run's own: nothing is behind it any more
        }
    }

    /// Also of a file that its mode closes to us.
    private func digest(_ name: Bytes, in directory: Int32, mode: mode_t) throws(SystemError) -> String {
        if mode & 0o400 == 0, name.withCString({ fchmodat(directory, $0, mode | 0o400, 0) }) < 0 {
            throw SystemError.last("chmod", name)
        }
        let file = try Descriptor.openBeneath(directory, name, O_RDONLY | O_NONBLOCK)
        return try TreeCopy.digest(file.raw)
    }

    private func move(_ name: Bytes, in directory: Int32, _ place: Bytes, _ facts: stat) throws {
        try makeWay(to: Path.relativeParent(place))
        let isClosed = facts.st_mode & S_IFMT == S_IFDIR && facts.st_mode & 0o300 != 0o300
        if isClosed { _ = name.withCString { fchmodat(directory, $0, 0o700, 0) } }
        let rc = name.withCString { from in place.withCString { aegix_move(directory, from, upper.raw, $0) } }
        if rc < 0, errno == EXDEV { return try copyAcross(name, in: directory, place, facts, depth: 0) }
        if rc < 0 { throw SystemError.last("rename", place) }
        if isClosed, place.withCString({ fchmodat(upper.raw, $0, facts.st_mode & 0o1777, 0) }) < 0 {
            throw SystemError.last("chmod", place)
        }
    }

    /// The layer lies on another file system than the copy, as for root.
    private func copyAcross(_ name: Bytes, in directory: Int32, _ place: Bytes, _ facts: stat, depth: Int) throws {
        if depth > TreeCopy.deepest { throw SystemError("open", place, errno: ELOOP) }
        switch facts.st_mode & S_IFMT {
        case S_IFLNK:
            let target = try TreeCopy.link(directory, name)
            if target.withCString({ text in place.withCString { aegix_symlinkat(text, upper.raw, $0) } }) < 0 {
                throw SystemError.last("symlink", place)
            }
        case S_IFREG:
            let source = try Descriptor.openBeneath(directory, name, O_RDONLY | O_NONBLOCK)
            let target = try Descriptor.open(place, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600, at: upper.raw)
            let left = plan.mostBytes - min(bytes, plan.mostBytes)
            if aegix_clone_file(source.raw, target.raw) < 0, aegix_copy_data(source.raw, target.raw, left) < 0 {
                throw SystemError.last("copy", place)
            }
            bytes += UInt64(facts.st_blocks) * 512
            if fchmod(target.raw, facts.st_mode & 0o777) < 0 { throw SystemError.last("chmod", place) }
            if aegix_set_times(target.raw, Int64(facts.st_mtim.tv_sec), Int64(facts.st_mtim.tv_nsec)) < 0 {
                throw SystemError.last("utimens", place)
            }
        case S_IFDIR:
            try makeWay(to: place, mode: facts.st_mode & 0o1777)
            let inner = try Descriptor.openBeneath(directory, name, O_RDONLY | O_DIRECTORY)
            let again = try Descriptor.openBeneath(inner.raw, Bytes("."), O_RDONLY | O_DIRECTORY)
            for entry in try DirectoryListing.entries(again) {
                var found = stat()
                if entry.name.withCString({ fstatat(inner.raw, $0, &found, AT_SYMLINK_NOFOLLOW) }) < 0 {
                    throw SystemError.last("stat", entry.name)
                }
                try copyAcross(entry.name, in: inner.raw, Path.join(place, entry.name), found, depth: depth + 1)
            }
            return
        default: return
        }
        try give(place)
    }

    /// Directories of the layer down to `path`. The top is there.
    private func makeWay(to path: Bytes, mode: mode_t? = nil) throws(SystemError) {
        if !ways.insert(path).inserted { return }
        try makeWay(to: Path.relativeParent(path))
        if path.withCString({ mkdirat(upper.raw, $0, 0o700) }) < 0 { throw SystemError.last("mkdir", path) }
        try give(path)
        modes.append((path, mode ?? known[path]?.mode ?? 0o755))
    }

    private func give(_ path: Bytes) throws(SystemError) {
        guard let owner else { return }
        if path.withCString({ fchownat(upper.raw, $0, owner.uid, owner.gid, AT_SYMLINK_NOFOLLOW) }) < 0 {
            throw SystemError.last("chown", path)
        }
    }
}
