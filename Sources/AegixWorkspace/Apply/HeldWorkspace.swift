// Side effects: opens and locks a workspace.

import AegixSystem
import Glibc

/// A workspace that nobody else applies to while this lives. The lock is advisory and of the directory itself; no file is
/// left behind.
public final class HeldWorkspace {
    public let path: Bytes
    public let device: UInt64
    public let inode: UInt64
    let tree: Tree

    /// Waits for another aegix that is at work in it, which takes seconds.
    public init(_ path: Bytes) throws(SystemError) {
        self.path = path
        tree = try Tree(at: path)
        let facts = try FileFacts(of: tree.descriptor)
        (device, inode) = (facts.device, facts.inode)
        try FileLock.exclusive(tree.descriptor, seconds: 30)
    }
}
