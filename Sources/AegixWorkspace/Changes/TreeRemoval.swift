// Side effects: removes a directory and all that is in it.

import AegixSystem
import CAegix
import Glibc

extension Tree {
    /// Removes what lies here under `name`, however deep, wide or closed it is; a name that isn't there is as good as removed.
    /// Each directory is moved to the top of what is removed before it is emptied, so that neither descriptors nor the stack
    /// grow with it, and it can be done again after a kill. Nothing is followed, and no mount is entered.
    ///
    /// - until: by the monotonic clock. Whether all of it is gone; what isn't yet can be removed by another call.
    @discardableResult
    public func removeAll(_ name: Bytes, until deadline: UInt64 = .max) throws(SystemError) -> Bool {
        guard let facts = try facts(name: name) else { return true }
        if !facts.isDirectory {
            try unlink(name)
            return true
        }
        if try removeEmpty(name) { return true }
        try openUp(name)
        if try !directory(name).empty(until: deadline) { return false }
        return try removeEmpty(name)
    }

    /// All that is in this directory, which stays.
    public func empty(until deadline: UInt64 = .max) throws(SystemError) -> Bool {
        var emptying = TreeEmptying(self, until: deadline)
        return try emptying.run()
    }

    /// False: something is in it.
    fileprivate func removeEmpty(_ name: Bytes) throws(SystemError) -> Bool {
        if name.withCString({ aegix_unlinkat(raw, $0, AT_REMOVEDIR) }) == 0 || errno == ENOENT { return true }
        if errno == ENOTEMPTY || errno == EEXIST { return false }
        throw SystemError.last("rmdir", name)
    }

    /// By a descriptor of its own, since fchmodat follows links.
    fileprivate func openUp(_ name: Bytes) throws(SystemError) {
        let place = try place(name)
        if try FileFacts(of: place).permissions & 0o700 == 0o700 || geteuid() == 0 { return }
        if aegix_change_mode(place.raw, 0o700) < 0 { throw SystemError.last("chmod", name) }
    }
}

public enum TreeRemoval {
    /// The same by an absolute path.
    @discardableResult
    public static func remove(_ place: Bytes, until deadline: UInt64 = .max) throws(SystemError) -> Bool {
        do throws(SystemError) {
            let parent = try Descriptor.open(Path.parent(place), Descriptor.pathOnly | O_DIRECTORY)
            return try Tree(owning: parent).removeAll(Path.name(place), until: deadline)
        } catch {
            if error.errno == ENOENT { return true }
            throw error
        }
    }
}

/// Empties one directory.
private struct TreeEmptying {
    private let top: Tree
    private let deadline: UInt64
    /// Names in the top of directories that have to be emptied.
    private var waiting: [Bytes] = []
    private var number = 0

    init(_ top: Tree, until deadline: UInt64) { (self.top, self.deadline) = (top, deadline) }

    /// Whether it came to its end in time.
    mutating func run() throws(SystemError) -> Bool {
        if try !empty(top) { return false }
        while let name = waiting.popLast() {
            if try !empty(try top.directory(name)) { return false }
            if try !top.removeEmpty(name) { waiting.append(name) }
        }
        return true
    }

    private mutating func empty(_ tree: Tree) throws(SystemError) -> Bool {
        let isTop = tree === top
        for (count, entry) in try tree.entries().enumerated() {
            if count % 256 == 0, Clock.monotonic() >= deadline { return false }
            if entry.name.withCString({ aegix_unlinkat(tree.raw, $0, 0) }) == 0 || errno == ENOENT { continue }
            if errno != EISDIR, errno != EPERM { throw SystemError.last("unlink", entry.name) }
            if try tree.removeEmpty(entry.name) { continue }
            // Moving a directory writes its `..`.
            try tree.openUp(entry.name)
            if isTop { waiting.append(entry.name) } else { try hoist(entry.name, from: tree) }
        }
        return true
    }

    private mutating func hoist(_ name: Bytes, from tree: Tree) throws(SystemError) {
        while true {
            number += 1
            let place = Bytes(".aegix-gone-\(number)")
            do throws(SystemError) {
                try tree.move(name, to: top, place)
                return waiting.append(place)
            } catch {
                // The run may have made such a name itself.
                if error.errno != EEXIST { throw error }
            }
        }
    }
}
