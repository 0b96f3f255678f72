// Side effects: walks the views. What `files.deny` hides in them.

import AegixPlan
import AegixPolicy
import AegixSystem
import Glibc

/// What a rule of `files.deny` names, and where the rule stands.
typealias DenialPattern = (pattern: PathPattern, origin: String)

extension ViewWalk {
    /// A deny holds for the inode over all views: after the matches by name, every other name of a matched inode (hard
    /// link, second mount) is hidden too, and so are the other names of what lies in a matched directory.
    mutating func denied(_ patterns: [DenialPattern]) throws(Failure) -> [DeniedPath] {
        if patterns.isEmpty { return [] }
        try refuseMounts(in: facts.workspace)
        let roots = [facts.workspace] + facts.reads + facts.writes
        var byInode: [Inode: String] = [:]
        var names: [Name] = []
        for (pattern, origin) in patterns {
            // A literal path counts wherever it lies: another name of it may be in view.
            guard let path = pattern.literalPath, let entry = try ViewWalk.target(path) else { continue }
            byInode[entry.inode] = origin
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
        return try found + deniedInSystem(patterns)
    }

    /// The base system is large, and what is in it isn't the caller's: it is looked through only where a pattern names a
    /// place in it, and not for one that begins with a wildcard.
    private mutating func deniedInSystem(_ patterns: [DenialPattern]) throws(Failure) -> [DeniedPath] {
        let roots = facts.base.compactMap(SystemRoot.init)
        var found: [DeniedPath] = []
        var linked: [Inode: String] = [:]
        for (pattern, origin) in patterns {
            let prefix = [Path.slash] + pattern.literalPrefix.joined(separator: [Path.slash])
            if prefix == [Path.slash] { continue }
            try refuseOwn(prefix, origin)
            for root in roots {
                var start = (path: root.path, entry: root.entry)
                if Path.contains(root.path, prefix) {
                    guard let entry = try ViewWalk.entry(prefix) else { continue }
                    start = (prefix, entry)
                } else if !Path.contains(prefix, root.path) {
                    continue
                }
                func note(_ path: Bytes, _ entry: Entry) {
                    found.append(DeniedPath(path: path, isDirectory: entry.kind == S_IFDIR, origin: origin))
                    if entry.hasOtherNames { linked[entry.inode] = origin }
                }
                if pattern.isLiteral {
                    note(start.path, start.entry)
                } else {
                    try walk(start.path, start.entry, origin: origin) { path, entry in
                        if entry.kind != S_IFLNK, pattern.matches(path) { note(path, entry) }
                    }
                }
            }
        }
        if linked.isEmpty { return found }
        for root in roots {
            try walk(root.path, root.entry, origin: "files.deny") { path, entry in
                guard let origin = linked[entry.inode], !found.contains(where: { $0.path == path }) else { return }
                found.append(DeniedPath(path: path, isDirectory: false, origin: origin))
            }
        }
        return found
    }

    private func refuseOwn(_ path: Bytes, _ origin: String) throws(Failure) {
        for own in ["/proc", "/dev"] where Path.contains(Bytes(own), path) {
            throw Failure(
                "files.denied",
                "`files.deny` can't hide \(path.shown) (\(origin)): the sandbox has a \(own) of its own")
        }
    }

    /// What lies at a path that is no symlink itself; nil where nothing does.
    private static func entry(_ path: Bytes) throws(Failure) -> Entry? {
        var facts = stat()
        if path.withCString({ lstat($0, &facts) }) < 0 {
            let error = SystemError.last("stat", path)
            if [ENOENT, ENOTDIR, EACCES].contains(error.errno) { return nil }
            throw Failure("view.walk", "can't look at \(path.shown)", error)
        }
        if facts.st_mode & S_IFMT == S_IFLNK { return nil }  // the pattern's resolved form stands for it
        return Entry(facts)
    }

    private func deniedWorkspace(_ origin: String) -> Failure {
        Failure(
            "files.denied",
            "the workspace \(facts.workspace.path.shown) is denied by `files.deny` (\(origin)), which names it, a "
                + "directory that it lies in, or a link to one. Narrow the rule, or use another workspace")
    }

    /// SECURITY: an overlay shows what lies under a mount, which the walk can't see.
    private func refuseMounts(in root: PathFact) throws(Failure) {
        for mount in try mounts() where mount.point != root.host && Path.contains(root.host, mount.point) {
            throw Failure(
                "view.mount",
                "can't hold the rules of `files.deny` in \(root.path.shown): \(mount.point.shown) in it is a mount, and "
                    + "what lies under it can't be checked. Unmount it, or use another workspace")
        }
    }

    private struct Name {
        var path: Bytes
        var inode: Inode
        var isDirectory: Bool
    }

    private struct SystemRoot {
        var path: Bytes
        var entry: Entry

        /// nil for a symlink: nothing can be mounted over it, and where it leads is what counts.
        init?(_ base: BaseEntry) {
            path = base.path
            switch base.kind {
            case .directory(let device, let inode, _): entry = Entry(device: device, inode: inode, isDirectory: true)
            case .file(let device, let inode, _): entry = Entry(device: device, inode: inode, isDirectory: false)
            case .symlink: return nil
            }
        }
    }
}
