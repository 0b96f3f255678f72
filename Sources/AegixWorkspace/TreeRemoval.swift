// Side effects: removes a directory and all that is in it.

import AegixSystem
import CAegix
import Glibc

/// Removes what a run left, however deep, wide or closed it is: each directory is moved to the top before it is emptied,
/// so that neither descriptors nor the stack grow with it. Nothing is followed, and no mount is entered.
public enum TreeRemoval {
    public static func remove(_ place: Bytes) throws(SystemError) { _ = try remove(place, until: .max) }

    /// Whether all of it is gone; what isn't yet can be removed by another call. A place that isn't there is as good as removed.
    ///
    /// - until: by the monotonic clock.
    public static func remove(_ place: Bytes, until deadline: UInt64) throws(SystemError) -> Bool {
        let root: Tree
        do throws(SystemError) {
            root = try Tree(at: place)
        } catch {
            if error.errno == ENOENT { return true }
            throw error
        }
        if fchmod(root.raw, 0o700) < 0 { throw SystemError.last("chmod", place) }
        var waiting: [Bytes] = []
        var number = 0
        try empty(root, into: root, &waiting, &number)
        while let name = waiting.popLast() {
            if Clock.monotonic() >= deadline { return false }
            try empty(try root.directory(name), into: root, &waiting, &number)
            if name.withCString({ unlinkat(root.raw, $0, AT_REMOVEDIR) }) < 0 { throw SystemError.last("rmdir", name) }
        }
        if place.withCString({ rmdir($0) }) < 0 { throw SystemError.last("rmdir", place) }
        return true
    }

    private static func empty(
        _ tree: Tree, into root: Tree, _ waiting: inout [Bytes], _ number: inout Int
    ) throws(SystemError) {
        for entry in try tree.entries() {
            if entry.name.withCString({ unlinkat(tree.raw, $0, 0) }) == 0 { continue }
            if errno != EISDIR, errno != EPERM { throw SystemError.last("unlink", entry.name) }
            // Moving a directory writes its `..`.
            _ = entry.name.withCString { fchmodat(tree.raw, $0, 0o700, 0) }
            while true {
                number += 1
                let name = Bytes(".aegix-gone-\(number)")
                let rc = entry.name.withCString { from in name.withCString { aegix_move(tree.raw, from, root.raw, $0) }
                }
                if rc == 0 {
                    waiting.append(name)
                    break
                }
                // The run may have made such a name itself.
                if errno != EEXIST { throw SystemError.last("rename", entry.name) }
            }
        }
    }
}
