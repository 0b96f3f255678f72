// Side effects: makes a directory in `<state>/gone/` that nobody wants once this process has ended.

import AegixSystem
import AegixWorkspace
import CAegix
import Glibc

/// A place for what lives as long as a command: it is locked while it is used, so `gone/` is cleared around it, and what a kill
/// leaves of it is removed like everything there.
public final class Scratch {
    /// Absolute.
    public let path: Bytes
    public let tree: Tree
    private let away: Tree
    private let name: Bytes

    fileprivate init(path: Bytes, tree: Tree, away: Tree, name: Bytes) {
        (self.path, self.tree, self.away, self.name) = (path, tree, away, name)
    }

    /// A directory in it, new and private.
    public func makeDirectory(_ name: Bytes) throws(SystemError) -> Tree {
        if name.withCString({ aegix_mkdirat(tree.raw, $0, 0o700) }) < 0 { throw SystemError.last("mkdir", name) }
        return try tree.directory(name)
    }

    public func remove() throws(Failure) {
        do throws(SystemError) {
            try away.removeAll(name)
        } catch {
            throw Failure("state.uncleared", "can't remove \(path.shown)", error, exitCode: 123)
        }
    }
}

extension StateDirectory {
    public func makeScratch() throws(Failure) -> Scratch {
        do throws(SystemError) {
            try StateDirectory.makeIfMissing(StateDirectory.away, in: root)
            let away = Tree(owning: try StateFile.openDirectory(StateDirectory.away, in: root))
            while true {
                let name = "\(try RunID.make()).scratch"
                try StateFile.makeDirectory(name, in: away.descriptor)
                guard let tree = try StateDirectory.fresh(name, in: away) else { continue }
                // Somebody who clears this directory may have been there before the lock.
                guard try FileLock.attempt(tree.descriptor), let there = try away.facts(name: Bytes(name)),
                    there.inode == (try FileFacts(of: tree.descriptor)).inode
                else { continue }
                let place = Path.join(path, Bytes("\(StateDirectory.away)/\(name)"))
                return Scratch(path: place, tree: tree, away: away, name: Bytes(name))
            }
        } catch {
            throw failure(error)
        }
    }

    /// nil: it was removed before it could be locked.
    private static func fresh(_ name: String, in away: Tree) throws(SystemError) -> Tree? {
        do throws(SystemError) { return try away.directory(Bytes(name)) } catch {
            if error.errno == ENOENT { return nil }
            throw error
        }
    }
}
