// Side effects: walks the host's directories by descriptor, bounded, never through a symlink.

import AegixPlan
import AegixPolicy
import AegixSystem
import CAegix
import Glibc

/// Finds in the views what has to be hidden, and what may not be in a writable one. A walk that meets a bound refuses the
/// run: a rule that can't be checked isn't held.
struct ViewWalk {
    static let mostEntries = 2_000_000
    static let deepest = 256

    private let facts: HostFacts
    private var visited = 0

    init(facts: HostFacts) { self.facts = facts }

    /// A deny holds for the inode over all views: after the matches by name, every other name of a matched inode (hard
    /// link, second mount) is hidden too, and so are the other names of what lies in a matched directory.
    mutating func denied(_ rules: [Policy.PathRule]) throws(Failure) -> [DeniedPath] {
        if rules.isEmpty { return [] }
        try refuseMounts(in: facts.workspace)
        let roots = [facts.workspace] + facts.reads + facts.writes
        var patterns: [(pattern: PathPattern, origin: String)] = []
        var byInode: [Inode: String] = [:]
        var names: [Name] = []
        for rule in rules {
            for pattern in try PatternSearch.denied(rule, home: facts.home, workspace: facts.workspace.path) {
                patterns.append((pattern, rule.origin))
                // A literal path counts wherever it lies: another name of it may be in view.
                guard let path = pattern.literalPath, let entry = try ViewWalk.target(path) else { continue }
                byInode[entry.inode] = rule.origin
            }
        }
        func match(_ path: Bytes) -> String? { patterns.first { $0.pattern.matches(path) }?.origin }
        for root in roots {
            // A view within a denied directory is denied with it.
            var ancestor = root.path
            while ancestor != [Path.slash] {
                if let origin = match(ancestor) {
                    if root == facts.workspace { throw deniedWorkspace(origin) }
                    byInode[Inode(device: root.device, inode: root.inode)] = origin
                }
                ancestor = Path.parent(ancestor)
            }
            try walk(root) { path, entry in
                let origin = match(path)
                if entry.kind == S_IFLNK {
                    // Nothing can be mounted over a link, and what it leads to is what the rule is about.
                    if let origin, let target = try ViewWalk.target(path) { byInode[target.inode] = origin }
                    return
                }
                if let origin { byInode[entry.inode] = origin }
                names.append(Name(path: path, inode: entry.inode, isDirectory: entry.kind == S_IFDIR))
            }
        }
        var top: (path: Bytes, origin: String)?
        for name in names {
            if let top, Path.contains(top.path, name.path) {
                byInode[name.inode] = top.origin
            } else if name.isDirectory, let origin = byInode[name.inode] {
                top = (name.path, origin)
            }
        }
        let found = names.compactMap { name in
            byInode[name.inode].map { DeniedPath(path: name.path, isDirectory: name.isDirectory, origin: $0) }
        }
        for item in found where Path.contains(item.path, facts.workspace.path) { throw deniedWorkspace(item.origin) }
        return found
    }

    private func deniedWorkspace(_ origin: String) -> Failure {
        Failure(
            "files.denied",
            "the workspace \(facts.workspace.path.shown) is denied by `files.deny` (\(origin)), which names it, a "
                + "directory that it lies in, or a link to one. Narrow the rule, or use another workspace")
    }

    /// SECURITY: an overlay shows what lies under a mount, which the walk can't see.
    private func refuseMounts(in root: PathFact) throws(Failure) {
        for mount in try mounts() where mount.point != root.path && Path.contains(root.path, mount.point) {
            throw Failure(
                "view.mount",
                "can't hold the rules of `files.deny` in \(root.path.shown): \(mount.point.shown) in it is a mount, and "
                    + "what lies under it can't be checked. Unmount it, or use another workspace")
        }
    }

    private func mounts() throws(Failure) -> [(point: Bytes, type: Bytes)] {
        do {
            return try MountTable().mounts
        } catch {
            throw Failure("view.walk", "can't tell what is mounted", error)
        }
    }

    /// SECURITY: what a writable bind must not hold. Through a live socket or FIFO the host can be reached; a setuid
    /// file rewritten through mmap keeps its bit; another name of aegix's own files is as good as theirs; proc and
    /// sysfs are the kernel's own settings.
    mutating func refuseSockets(in root: PathFact) throws(Failure) {
        let subject = "\(root.path.shown) can't be writable in place (\(root.origin)): "
        for mount in try mounts() where mount.type == Bytes("proc") || mount.type == Bytes("sysfs") {
            if Path.contains(root.path, mount.point) || Path.contains(mount.point, root.path) {
                throw Failure(
                    "view.mount",
                    subject + "\(mount.point.shown) is a mount of \(mount.type.shown). Unmount it, or name a directory "
                        + "without it")
            }
        }
        let guarded = try guardedInodes()
        try walk(root) { path, entry in
            if entry.isChannel {
                throw Failure(
                    "view.socket",
                    subject + "\(path.shown) in it is a socket or FIFO, through which the command could reach what "
                        + "listens there. Remove it, or use workspace mode \"layer\"")
            }
            if entry.isPrivileged {
                throw Failure(
                    "view.setuid",
                    subject + "it holds the setuid file \(path.shown), which could be rewritten with its bit on. "
                        + "Remove the bit, or use workspace mode \"layer\"")
            }
            if let what = guarded[entry.inode] {
                throw Failure(
                    "view.guarded",
                    subject + "\(path.shown) is another name of \(what). Remove it, or use workspace mode \"layer\"")
            }
        }
    }

    /// aegix's own files by identity, with those that lie directly in its directories.
    private func guardedInodes() throws(Failure) -> [Inode: String] {
        var inodes: [Inode: String] = [:]
        for item in facts.guarded {
            guard let kind = item.kind, let entry = try ViewWalk.target(item.path) else { continue }
            inodes[entry.inode] = item.what
            if kind != .directory { continue }
            for name in DirectoryListing.names(item.path) {
                let path = Path.join(item.path, name)
                if let file = try ViewWalk.target(path) { inodes[file.inode] = "\(path.shown) in \(item.what)" }
            }
        }
        return inodes
    }

    struct Inode: Hashable {
        var device: UInt64
        var inode: UInt64
    }

    private struct Name {
        var path: Bytes
        var inode: Inode
        var isDirectory: Bool
    }

    struct Entry {
        var inode: Inode
        var mode: mode_t

        init(_ facts: stat) {
            inode = Inode(device: UInt64(facts.st_dev), inode: UInt64(facts.st_ino))
            mode = facts.st_mode
        }

        init(_ root: PathFact) {
            inode = Inode(device: root.device, inode: root.inode)
            mode = root.mode | (root.kind == .directory ? S_IFDIR : S_IFREG)
        }

        var kind: mode_t { mode & S_IFMT }
        var isChannel: Bool { kind == S_IFSOCK || kind == S_IFIFO }

        /// Set-group-ID without group-exec is no privilege.
        var isPrivileged: Bool {
            kind == S_IFREG && (mode & S_ISUID != 0 || mode & S_ISGID != 0 && mode & S_IXGRP != 0)
        }
    }

    /// What a path leads to through symlinks; nil where it leads nowhere that the caller can reach.
    private static func target(_ path: Bytes) throws(Failure) -> Entry? {
        var facts = stat()
        if path.withCString({ stat($0, &facts) }) == 0 { return Entry(facts) }
        let error = SystemError.last("stat", path)
        if [ENOENT, ENOTDIR, ELOOP, EACCES].contains(error.errno) { return nil }
        throw Failure("view.walk", "can't look at \(path.shown)", error)
    }

    private mutating func walk(_ root: PathFact, _ each: (Bytes, Entry) throws -> Void) throws(Failure) {
        do {
            try each(root.path, Entry(root))
            if root.kind == .directory {
                try walk(try Descriptor.open(root.path, O_RDONLY | O_DIRECTORY), root.path, depth: 0, each)
            }
        } catch let failure as Failure {
            throw failure
        } catch let error as SystemError {
            throw Failure("view.walk", "can't look through \(root.path.shown) (\(root.origin))", error)
        } catch {
            throw Failure("view.walk", "can't look through \(root.path.shown): \(error)")
        }
    }

    private mutating func walk(
        _ directory: consuming Descriptor, _ path: Bytes, depth: Int, _ each: (Bytes, Entry) throws -> Void
    ) throws {
        if depth > ViewWalk.deepest { throw tooLarge(path) }
        let raw = directory.raw
        let again = try Descriptor.openBeneath(raw, Bytes("."), O_RDONLY | O_DIRECTORY)
        for item in try DirectoryListing.entries(again) {
            visited += 1
            if visited > ViewWalk.mostEntries { throw tooLarge(path) }
            var found = stat()
            let place = Path.join(path, item.name)
            if item.name.withCString({ fstatat(raw, $0, &found, AT_SYMLINK_NOFOLLOW) }) < 0 {
                let error = SystemError.last("stat", place)
                // Gone meanwhile, or another user's FUSE mount: closed to the command too.
                if error.errno == ENOENT || error.errno == EACCES { continue }
                throw error
            }
            let entry = Entry(found)
            try each(place, entry)
            if entry.kind != S_IFDIR { continue }
            do {
                try walk(
                    try Descriptor.openBeneath(raw, item.name, O_RDONLY | O_DIRECTORY), place, depth: depth + 1, each)
            } catch let error as SystemError where error.errno == EACCES || error.errno == ENOENT {
                // Closed to the caller, so to the command too, unless the command can open it with chmod.
                if error.errno == EACCES, found.st_uid == facts.uid { throw closed(place) }
            }
        }
    }

    private func closed(_ path: Bytes) -> Failure {
        Failure(
            "view.closed",
            "can't look into \(path.shown) for the policy's rules, and the command could open it with chmod. Make it "
                + "readable, or take it out of view", errno: EACCES)
    }

    private func tooLarge(_ path: Bytes) -> Failure {
        Failure(
            "view.bound",
            "can't check every file for the policy's rules: more than \(ViewWalk.mostEntries) entries or deeper than "
                + "\(ViewWalk.deepest) directories at \(path.shown)")
    }
}
