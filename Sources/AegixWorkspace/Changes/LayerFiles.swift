// Side effects: reads a layer; opens up directories of it that the run closed, for the moment.

import AegixSystem
import Glibc

/// The files of a layer, by the paths that a run's changes have.
public final class LayerFiles {
    private let upper: Tree
    private var opened: [(tree: Tree, mode: mode_t)] = []
    private var near: (path: Bytes, tree: Tree)?

    public init(_ layer: Layer) throws(SystemError) { upper = try Tree(at: layer.upper) }

    deinit { for (tree, mode) in opened.reversed() { _ = fchmod(tree.raw, mode) } }

    /// A regular file, for reading, and what it is as an object on disk; nil: there is none.
    public func facts(_ path: Bytes) throws(SystemError) -> (size: UInt64, identity: Entry.Identity)? {
        do throws(SystemError) {
            guard let facts = try parent(of: path).facts(name: Path.name(path)), facts.isFile else { return nil }
            let entry = Entry(facts)
            return (facts.size, entry.identity)
        } catch {
            if [ENOENT, ENOTDIR, ELOOP, EXDEV].contains(error.errno) { return nil }
            throw error
        }
    }

    public func open(_ path: Bytes) throws(SystemError) -> Descriptor {
        let tree = try parent(of: path)
        guard let facts = try tree.facts(name: Path.name(path)) else { throw SystemError("open", path, errno: ENOENT) }
        if !facts.isFile { throw SystemError("open", path, errno: EINVAL) }
        return try EntryReader.open(Path.name(path), in: tree, facts, own: true)
    }

    /// Neighbours come one after the other, so the last directory is the likely one.
    func parent(of path: Bytes) throws(SystemError) -> Tree {
        let above = Path.relativeParent(path)
        if let near, near.path == above { return near.tree }
        let tree: Tree
        do throws(SystemError) {
            tree = try upper.directory(above)
        } catch {
            guard error.errno == EACCES else { throw error }
            tree = try openUp(above)
        }
        near = (above, tree)
        return tree
    }

    /// The layer is the caller's own: what the run closed is opened until we are done.
    private func openUp(_ path: Bytes) throws(SystemError) -> Tree {
        var tree = upper
        for name in Path.components(path) {
            if let facts = try tree.facts(name: name), facts.isDirectory, facts.permissions & 0o500 != 0o500 {
                let mode = facts.permissions | 0o700
                if name.withCString({ fchmodat(tree.raw, $0, mode, 0) }) < 0 { throw SystemError.last("chmod", name) }
                tree = try tree.directory(name)
                opened.append((tree, facts.permissions))
            } else {
                tree = try tree.directory(name)
            }
        }
        return tree
    }
}
