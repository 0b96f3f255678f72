// Side effects: reads the workspace and overlay's index, and completes a layer.

import AegixSystem
import CAegix
import Glibc

/// A file of the base with several names that a run wrote through one of them. overlayfs keeps it in an index, from which every name
/// shows it; the layer has only the names that were used. Here the others get it, too, so that the layer says all by itself.
final class HardLinks {
    private let upper: Tree
    private let base: Tree
    private let moved: Set<Bytes>
    /// Of overlay's index, by the file handle of the base's file.
    private var indexed: [Bytes: Bytes] = [:]
    private var index: Tree?
    /// What stands for a file of the base in the layer: by the base's inode.
    private var placed: [UInt64: (tree: Tree, name: Bytes)] = [:]

    /// - work: overlay's work directory, which has the index.
    init(_ upper: Tree, _ base: Tree, work: Bytes, moved: Set<Bytes>) throws(SystemError) {
        (self.upper, self.base, self.moved) = (upper, base, moved)
        let index: Tree
        do throws(SystemError) {
            index = try Tree(at: Path.join(work, Bytes("index")))
        } catch {
            if error.errno == ENOENT { return }
            throw error
        }
        for entry in try index.entries() {
            guard let facts = try index.facts(name: entry.name), facts.isFile else { continue }
            if let handle = HardLinks.handle(ofIndex: entry.name) { indexed[handle] = entry.name }
        }
        self.index = index
    }

    /// Type and bytes of the handle that the name stands for, in hexadecimal after a head of 21 bytes.
    private static func handle(ofIndex name: Bytes) -> Bytes? {
        let head = 42
        guard name.count > head, name.count % 2 == 0 else { return nil }
        return Bytes(name[8..<10]) + Bytes(name[head...])
    }

    /// The same of a file that is there; nil: the file system has no handles.
    private func handle(_ name: Bytes, in tree: Tree) -> Bytes? {
        var bytes = Bytes(repeating: 0, count: 128)
        var type: Int32 = 0
        let room = bytes.count
        let count = name.withCString { aegix_file_handle(tree.raw, $0, &bytes, room, &type) }
        if count < 0 { return nil }
        return Bytes(Hex.encode([UInt8(truncatingIfNeeded: type)] + bytes[..<count]))
    }

    /// A file of the base that is brought to another place of the layer: as a name of what stands for it already. False: nothing does,
    /// and it has to be copied; then `stands` is to be told.
    func link(_ name: Bytes, _ facts: FileFacts, in lower: Tree, to directory: Tree) throws(SystemError) -> Bool {
        guard facts.isFile, facts.links > 1, let source = try source(name, facts, in: lower) else { return false }
        try source.tree.link(source.name, to: directory, name)
        return true
    }

    func stands(_ name: Bytes, in directory: Tree, for facts: FileFacts) {
        if facts.isFile, facts.links > 1 { placed[facts.inode] = (directory, name) }
    }

    private func source(_ name: Bytes, _ facts: FileFacts, in lower: Tree) throws(SystemError) -> (
        tree: Tree, name: Bytes
    )? {
        if let known = placed[facts.inode] { return known }
        guard let index, !indexed.isEmpty, let handle = handle(name, in: lower), let entry = indexed[handle] else {
            return nil
        }
        placed[facts.inode] = (index, entry)
        return (index, entry)
    }

    /// The other names, where they are in view still. Walks the workspace, and only where there is one to be looked for.
    func complete() throws(SystemError) {
        if indexed.isEmpty, placed.isEmpty { return }
        try complete(base, upper, [], depth: 0)
    }

    private func complete(_ lower: Tree, _ directory: Tree?, _ path: Bytes, depth: Int) throws(SystemError) {
        if depth > ListingBounds().depth { return }
        for entry in try lower.entries() {
            let place = LayerWalk.under(path, entry.name)
            guard !moved.contains(place), let facts = try lower.facts(name: entry.name) else { continue }
            let there = try directory?.facts(name: entry.name)
            if facts.isDirectory {
                if let there, !there.isDirectory { continue }
                let inner = there == nil ? nil : try directory?.directory(entry.name)
                // What hides the base here, or comes from elsewhere in it.
                if let inner, try HardLinks.hides(inner) { continue }
                try complete(try lower.directory(entry.name), inner, place, depth: depth + 1)
            } else if there == nil, facts.isFile, facts.links > 1, let source = try source(entry.name, facts, in: lower)
            {
                try source.tree.link(source.name, to: try way(to: path), entry.name)
            }
        }
    }

    private static func hides(_ directory: Tree) throws(SystemError) -> Bool {
        if try Attributes.overlay("opaque", of: directory.descriptor, .trusted) == Bytes("y") { return true }
        return try Attributes.overlay("redirect", of: directory.descriptor, .trusted) != nil
    }

    /// The directory of the layer for one of the base, made with its ancestors where it isn't there.
    private func way(to path: Bytes) throws(SystemError) -> Tree {
        if path.isEmpty { return upper }
        if let facts = try upper.facts(path), facts.isDirectory { return try upper.directory(path) }
        let parent = try way(to: Path.relativeParent(path))
        let from = try base.directory(path)
        let facts = try FileFacts(of: from.descriptor)
        try parent.makeDirectory(Path.name(path))
        let made = try parent.directory(Path.name(path))
        if fchown(made.raw, facts.owner, facts.group) < 0 { throw SystemError.last("chown", path) }
        try FileAttributes(of: from.descriptor, facts).set(on: made.descriptor)
        return made
    }
}
