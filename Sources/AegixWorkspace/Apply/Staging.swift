// Side effects: copies what a layer holds into the staging directory of a workspace.

import AegixSystem
import CAegix
import Glibc

/// Makes, out of sight, everything new that a transaction will put in place: on the workspace's own file system, with its
/// modes, times, owners and xattrs, hard links linked, and each content exactly the one that was reviewed.
final class Staging {
    private let layer: LayerReader
    private let target: Tree
    private let base: Tree
    private let inPlace: Set<Bytes>
    private let copier = FileCopy()
    private let isRoot = geteuid() == 0
    /// Where the first name of a file of several lies in the staging directory.
    private var firsts: [Bytes: Bytes] = [:]
    /// The directory of the staging directory that was last written to: as a rule the next one is the same.
    private var held: (path: Bytes, tree: Tree)?

    /// - base: the workspace, for names of files that are in it already.
    /// - inPlace: files of it that get other attributes.
    init(_ layer: Layer, into target: Tree, base: Tree, inPlace: Set<Bytes>) throws(SystemError) {
        self.inPlace = inPlace
        self.layer = try LayerReader(layer)
        self.target = target
        self.base = base
    }

    /// The image of what is now in the slot. `place` says where a path of the workspace lies at present.
    ///
    /// - changes: the path's own first, then, of a directory, those beneath it.
    func stage(_ changes: [Change], slot: Bytes, place: (Bytes) -> Bytes) throws(TransactionFault) -> Image {
        let root = changes[0].path
        var nodes: [Image.Node] = []
        for change in changes {
            let below = change.path == root ? [] : Bytes(change.path[(root.count + 1)...])
            do throws(SystemError) {
                guard let after = change.after else { throw SystemError("stage", change.path, errno: EINVAL) }
                let staged = Path.join(slot, below)
                let parent = try parent(of: staged)
                if after.kind == .directory {
                    try parent.makeDirectory(Path.name(staged))
                } else {
                    try leaf(change, after, in: parent, staged, place: place)
                }
                var entry = after
                if let facts = try parent.facts(name: Path.name(staged)) {
                    entry.identity = Entry(facts).identity
                    // A name of a file that is there already has that file's time.
                    if !inPlace.contains(change.linkOf ?? []) { entry.modified = facts.modified }
                }
                nodes.append(Image.Node(path: below, entry: entry))
            } catch {
                throw Staging.fault(change.path, error)
            }
        }
        // The deepest first: what is put into a directory changes its time.
        for index in changes.indices.reversed() {
            guard let after = changes[index].after, after.kind == .directory else { continue }
            do throws(SystemError) {
                try close(Path.join(slot, nodes[index].path), changes[index].path, after, isTop: index == 0)
            } catch {
                throw Staging.fault(changes[index].path, error)
            }
        }
        return Image(nodes)
    }

    private static func fault(_ path: Bytes, _ error: SystemError) -> TransactionFault {
        if error.errno == ESTALE { return .conflicts([Conflict(path, "isn't in the layer as it was listed")]) }
        return .failed("can't prepare \(path.shown)", error)
    }

    private func parent(of staged: Bytes) throws(SystemError) -> Tree {
        let wanted = Path.relativeParent(staged)
        if let held, held.path == wanted { return held.tree }
        let tree = try target.directory(wanted)
        held = (wanted, tree)
        return tree
    }

    private func leaf(
        _ change: Change, _ after: Entry, in parent: Tree, _ staged: Bytes, place: (Bytes) -> Bytes
    ) throws(SystemError) {
        let name = Path.name(staged)
        if after.kind == .symlink {
            let (source, own) = (try layer.parent(of: change.path), Path.name(change.path))
            guard let facts = try source.facts(name: own), facts.isLink, try source.link(own) == after.target,
                let text = after.target
            else { throw SystemError("readlink", change.path, errno: ESTALE) }
            try parent.makeLink(to: text, name)
            let made = try parent.place(name)
            if isRoot, aegix_change_owner(made.raw, facts.owner, facts.group) < 0 {
                throw SystemError.last("chown", change.path)
            }
            return try FileAttributes.stamp(made, facts.modified)
        }
        if let leader = change.linkOf, try link(change, after, leader, to: parent, staged, place: place) { return }
        firsts[change.linkOf ?? change.path] = staged
        let source = try layer.file(change.path)
        let facts = try FileFacts(of: source)
        let made = try parent.create(name)
        if try copier.content(of: source, facts, to: made) != after.digest {
            throw SystemError("read", change.path, errno: ESTALE)
        }
        if isRoot, aegix_change_owner(made.raw, facts.owner, facts.group) < 0 {
            throw SystemError.last("chown", change.path)
        }
        var attributes = try FileAttributes(of: source, facts)
        (attributes.mode, attributes.modified) = (after.mode, after.modified)
        try attributes.set(on: made)
    }

    /// To what is staged, or to the workspace's own file where that stays. False: its first name isn't applied, so this one
    /// gets a file of its own.
    private func link(
        _ change: Change, _ after: Entry, _ leader: Bytes, to parent: Tree, _ staged: Bytes, place: (Bytes) -> Bytes
    ) throws(SystemError) -> Bool {
        let name = Path.name(staged)
        if let first = firsts[leader] {
            try target.parent(of: first).link(Path.name(first), to: parent, name)
            return true
        }
        let there = place(leader)
        let holder = try base.parent(of: there)
        guard let facts = try holder.facts(name: Path.name(there)), facts.isFile, facts.size == after.size,
            try holder.file(Path.name(there)).digest().digest == after.digest
        else { return false }
        try holder.link(Path.name(there), to: parent, name)
        firsts[leader] = staged
        return true
    }

    /// One that will be closed to its owner stays open until it is in place: to move it, he has to be able to write to it.
    private func close(_ staged: Bytes, _ path: Bytes, _ after: Entry, isTop: Bool) throws(SystemError) {
        let tree = try target.directory(staged)
        let source = try layer.directory(path)
        let facts = try FileFacts(of: source.descriptor)
        if isRoot, aegix_change_owner(tree.raw, facts.owner, facts.group) < 0 { throw SystemError.last("chown", path) }
        var attributes = try FileAttributes(of: source.descriptor, facts)
        (attributes.mode, attributes.modified) = (isTop && !isRoot ? after.mode | 0o700 : after.mode, after.modified)
        try attributes.set(on: tree.descriptor)
    }

    /// What a change of kind `mode` asks for, of a file that has these attributes now.
    func attributes(_ change: Change, now: FileAttributes) throws(SystemError) -> FileAttributes {
        guard let after = change.after else { return now }
        if after.kind == .directory {
            let source = change.path.isEmpty ? try layer.directory([]) : try layer.directory(change.path)
            let extended = try FileAttributes(of: source.descriptor, FileFacts(of: source.descriptor)).extended
            // A directory's setgid bit says whose group its files get; nobody runs it.
            return FileAttributes(mode: after.mode | now.mode & 0o6000, modified: nil, extended: extended)
        }
        let source = try layer.file(change.path)
        let facts = try FileFacts(of: source)
        let extended = try FileAttributes(of: source, facts).extended
        return FileAttributes(mode: after.mode, modified: after.modified, extended: extended)
    }
}

/// Opens what lies in a layer. Directories and files that their modes close to us, who own them, are opened up for the moment.
final class LayerReader {
    private let top: Tree
    private var held: (path: Bytes, tree: Tree)?
    private var closed: [(tree: Tree, mode: mode_t)] = []

    init(_ layer: Layer) throws(SystemError) { top = try Tree(at: layer.upper) }

    deinit { for (tree, mode) in closed { _ = fchmod(tree.raw, mode) } }

    func directory(_ path: Bytes) throws(SystemError) -> Tree {
        do throws(SystemError) {
            return try top.directory(path)
        } catch {
            if error.errno != EACCES { throw error }
        }
        var tree = top
        for name in Path.components(path) {
            let facts = try tree.facts(name: name)
            if let facts, facts.isDirectory, facts.permissions & 0o500 != 0o500 {
                let place = try tree.place(name)
                if aegix_change_mode(place.raw, facts.permissions | 0o700) < 0 {
                    throw SystemError.last("chmod", name)
                }
                tree = try tree.directory(name)
                closed.append((tree, facts.permissions))
            } else {
                tree = try tree.directory(name)
            }
        }
        return tree
    }

    func parent(of path: Bytes) throws(SystemError) -> Tree {
        let wanted = Path.relativeParent(path)
        if let held, held.path == wanted { return held.tree }
        let tree = try directory(wanted)
        held = (wanted, tree)
        return tree
    }

    func file(_ path: Bytes) throws(SystemError) -> Descriptor {
        let (parent, name) = (try parent(of: path), Path.name(path))
        do throws(SystemError) {
            return try parent.file(name)
        } catch {
            // Not a file any more, or not there: somebody else was at the layer.
            if error.errno == EINVAL || error.errno == ENOENT { throw SystemError("open", path, errno: ESTALE) }
            if error.errno != EACCES { throw error }
        }
        let place = try parent.place(name)
        let facts = try FileFacts(of: place)
        if aegix_change_mode(place.raw, facts.permissions | 0o400) < 0 { throw SystemError.last("chmod", path) }
        let file = try parent.file(name)
        if fchmod(file.raw, facts.permissions) < 0 { throw SystemError.last("chmod", path) }
        return file
    }
}
