// Side effects: walks what the command may write to in place, and refuses what would lead out of it.

import AegixPlan
import AegixSystem
import Glibc

extension ViewWalk {
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

    /// SECURITY: a view of tier confined is the host's own directory, so a FIFO in it is the host's, and reading takes what
    /// was meant for another. Sockets can't be connected to: there are none to connect with.
    mutating func refuseFIFOs(in root: PathFact) throws(Failure) {
        try walk(root) { path, entry in
            if entry.kind == S_IFIFO {
                throw Failure(
                    "view.socket",
                    "\(root.path.shown) can't be in view of tier confined (\(root.origin)): \(path.shown) in it is a FIFO, "
                        + "through which the command could take what is meant for another. Remove it, or name a directory "
                        + "without it")
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
}
