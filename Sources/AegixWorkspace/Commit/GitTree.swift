// Pure but for the objects that it reads and writes. A commit's tree, and another with some paths changed.

import AegixSystem
import Glibc

/// What a tree or the index says of a path.
struct GitEntry: Equatable, Sendable {
    var mode: UInt32
    var id: GitID

    static let directory: UInt32 = 0o40000
    static let submodule: UInt32 = 0o160000
    static let link: UInt32 = 0o120000

    var isDirectory: Bool { mode == GitEntry.directory }
}

struct GitTree {
    let objects: GitObjects

    /// What lies at a path; nil: nothing.
    func entry(_ path: Bytes, in root: GitID?) throws(SystemError) -> GitEntry? {
        guard let root else { return nil }
        var found = GitEntry(mode: GitEntry.directory, id: root)
        for name in Path.components(path) {
            if found.mode == GitEntry.submodule { return found }
            guard found.isDirectory, let next = try read(found.id)[name] else { return nil }
            found = next
        }
        return found
    }

    /// The tree with these paths set, or taken out (nil). nil: it is empty.
    func edited(_ root: GitID?, _ edits: [Bytes: GitEntry?]) throws(SystemError) -> GitID? {
        let node = Node()
        for (path, entry) in edits {
            var at = node
            for name in Path.components(path) { at = at.child(name) }
            at.entry = entry
        }
        return try edited(root, node)
    }

    private final class Node {
        var children: [Bytes: Node] = [:]
        var entry: GitEntry?

        func child(_ name: Bytes) -> Node {
            if let found = children[name] { return found }
            let made = Node()
            children[name] = made
            return made
        }
    }

    private func edited(_ id: GitID?, _ node: Node) throws(SystemError) -> GitID? {
        var entries = try id.map { id throws(SystemError) in try read(id) } ?? [:]
        for (name, child) in node.children {
            if let entry = child.entry {
                entries[name] = entry
            } else if child.children.isEmpty {
                entries[name] = nil
            } else {
                let inner = entries[name].flatMap { $0.isDirectory ? $0.id : nil }
                // A file made room for a directory, or stays where only what never was in it is taken out.
                guard let made = try edited(inner, child) else {
                    if inner != nil || entries[name] == nil { entries[name] = nil }
                    continue
                }
                entries[name] = GitEntry(mode: GitEntry.directory, id: made)
            }
        }
        if entries.isEmpty { return nil }
        return try write(entries)
    }

    private func read(_ id: GitID) throws(SystemError) -> [Bytes: GitEntry] {
        let body = try objects.read(id, .tree)
        var entries: [Bytes: GitEntry] = [:]
        var at = 0
        while at < body.count {
            guard let space = body[at...].firstIndex(of: 0x20), let end = body[space...].firstIndex(of: 0),
                let mode = Bytes(body[at..<space]).text.flatMap({ UInt32($0, radix: 8) }),
                end + objects.format.length < body.count,
                let id = objects.format.parse(raw: body[(end + 1)..<(end + 1 + objects.format.length)])
            else { throw SystemError("read", Bytes(id.hex), errno: EUCLEAN) }
            entries[Bytes(body[(space + 1)..<end])] = GitEntry(mode: mode, id: id)
            at = end + 1 + objects.format.length
        }
        return entries
    }

    /// In git's order, in which a directory's name ends in a slash.
    private func write(_ entries: [Bytes: GitEntry]) throws(SystemError) -> GitID {
        func key(_ one: (key: Bytes, value: GitEntry)) -> Bytes { one.value.isDirectory ? one.key + [0x2F] : one.key }
        var body = Bytes()
        for one in entries.sorted(by: { key($0).lexicographicallyPrecedes(key($1)) }) {
            body += Bytes(String(one.value.mode, radix: 8) + " ") + one.key + [0] + one.value.id.raw
        }
        return try objects.write(.tree, body)
    }
}
