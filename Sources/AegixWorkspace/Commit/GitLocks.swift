// Side effects: makes git's own lock files in a repository, and directories of refs.

import AegixSystem
import CAegix
import Glibc

/// The index and the branch, or HEAD itself.
struct GitLocks {
    let index: GitLock
    let branch: GitLock

    /// EEXIST: git is at work, or was since HEAD and index were read.
    ///
    /// - staged: the index as it was read.
    init(_ repository: GitRepository, staged: Bytes?) throws(SystemError) {
        let owner = repository.owner
        index = try GitLock(Bytes("index"), in: repository.own, owner: owner)
        if let name = repository.head.branch {
            let (above, last) = (try GitLocks.directory(Path.relativeParent(name), in: repository), Path.name(name))
            branch = try GitLock(last, in: above, owner: owner)
            if try above.facts(name: last)?.isDirectory ?? false { try above.removeEmpty(last) }
        } else {
            branch = try GitLock(Bytes("HEAD"), in: repository.own, owner: owner)
        }
        // Locked, so what they say now, they say until the end.
        guard try repository.isUnmoved(), try repository.index() == staged else {
            throw SystemError("lock", errno: EEXIST)
        }
    }

    /// A directory of the git directory of all, made where it is missing.
    private static func directory(_ path: Bytes, in repository: GitRepository) throws(SystemError) -> Tree {
        var tree = try repository.common.directory([])
        for name in Path.components(path) {
            if try tree.facts(name: name) == nil {
                if name.withCString({ aegix_mkdirat(tree.raw, $0, 0o777) }) < 0, errno != EEXIST {
                    throw SystemError.last("mkdir", name)
                }
                let place = try tree.place(name)
                if let owner = repository.owner, aegix_change_owner(place.raw, owner.uid, owner.gid) < 0 {
                    throw SystemError.last("chown", name)
                }
            }
            tree = try tree.directory(name)
        }
        return tree
    }
}

/// `NAME.lock`, as git itself takes it: whoever makes the file may replace NAME, by renaming it. Removed unless that was done.
final class GitLock {
    private let tree: Tree
    private let name: Bytes
    private let file: Descriptor
    private var isDone = false

    /// EEXIST: git, or another aegix, is at work.
    init(_ name: Bytes, in tree: Tree, owner: (uid: uid_t, gid: gid_t)?) throws(SystemError) {
        file = try Descriptor.open(
            name + Bytes(".lock"), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o666, at: tree.raw)
        (self.tree, self.name) = (tree, name)
        if let owner, fchown(file.raw, owner.uid, owner.gid) < 0 {
            let error = SystemError.last("chown", name)
            _ = (name + Bytes(".lock")).withCString { unlinkat(tree.raw, $0, 0) }
            throw error
        }
    }

    deinit { if !isDone { _ = (name + Bytes(".lock")).withCString { unlinkat(tree.raw, $0, 0) } } }

    func write(_ bytes: Bytes) throws(SystemError) {
        if ftruncate(file.raw, 0) < 0 || lseek(file.raw, 0, SEEK_SET) < 0 { throw SystemError.last("truncate", name) }
        try file.writeAll(bytes)
        if fsync(file.raw) < 0 { throw SystemError.last("fsync", name) }
    }

    func publish() throws(SystemError) {
        try tree.replace(name, by: name + Bytes(".lock"))
        isDone = true
    }
}
