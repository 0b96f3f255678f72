// Side effects: reads a layer and the workspace beneath it; writes nothing but the modes of its own unreadable files.

import AegixSystem
import Glibc

/// Compares what a run left in its layer with the workspace that it was laid over.
///
/// Stages: walk the layer, each directory beside the one beneath it; list what is gone with it; pair what was deleted with
/// what was added under another name. Cost follows the layer, not the workspace. Not done here: no judgement of what is listed.
public struct LayerListing {
    private let layer: Layer
    private let workspace: Bytes
    /// Nanoseconds since 1970, by the clock that stamps files.
    private let began: Int64
    private let linksBreak: Bool
    private let bounds: ListingBounds

    /// - linksBreak: the run saw an overlay that can't write through hard links.
    public init(
        _ layer: Layer, over workspace: Bytes, began: Int64, linksBreak: Bool, bounds: ListingBounds = ListingBounds()
    ) {
        self.layer = layer
        self.linksBreak = linksBreak
        self.workspace = workspace
        self.began = began
        self.bounds = bounds
    }

    public func list() throws(SystemError) -> ChangeList {
        let upper = try Tree(at: layer.upper)
        let base = try Tree(at: workspace)
        let walk = LayerWalk(
            layer.style, base: base, gone: try DeletedNames(layer), began: began, linksBreak: linksBreak, bounds)
        if layer.style == .trusted { try walk.findMoved(upper, basePath: [], depth: 0) }
        try walk.top(upper)
        return walk.finish()
    }
}

final class LayerWalk {
    private let style: Layer.Style
    private let base: Tree
    private let gone: DeletedNames
    private let began: Int64
    private let linksBreak: Bool
    private let bounds: ListingBounds
    private let reader: EntryReader
    private var changes: [Change] = []
    /// Directories of the base that are elsewhere now: paths in the base.
    private var moved: Set<Bytes> = []
    /// Files of the layer with several names that are as they were under one of them.
    private var unchanged: [Entry.Identity: (path: Bytes, base: Entry.Identity)] = [:]

    init(
        _ style: Layer.Style, base: Tree, gone: DeletedNames, began: Int64, linksBreak: Bool, _ bounds: ListingBounds
    ) {
        self.style = style
        self.gone = gone
        self.linksBreak = linksBreak
        self.base = base
        self.began = began
        self.bounds = bounds
        reader = EntryReader(bounds)
    }

    /// Before the walk, which may come to the old place first.
    func findMoved(_ upper: Tree, basePath: Bytes, depth: Int) throws(SystemError) {
        if depth > bounds.depth { return }
        for entry in try upper.entries() {
            guard let facts = try upper.facts(name: entry.name), facts.isDirectory else { continue }
            let inner = try upper.directory(entry.name)
            var beneath = LayerWalk.under(basePath, entry.name)
            if let from = try Attributes.overlay("redirect", of: inner.descriptor, style) {
                beneath = LayerWalk.resolve(from, basePath: basePath)
                moved.insert(beneath)
            }
            try findMoved(inner, basePath: beneath, depth: depth + 1)
        }
    }

    func top(_ upper: Tree) throws(SystemError) {
        if let before = try base.facts(name: Bytes(".")), let after = try upper.facts(name: Bytes(".")) {
            let (old, new) = (Entry(before), Entry(after))
            if old.mode != new.mode { changes.append(Change([], .mode, before: old, after: new)) }
        }
        try merged(upper, base, [], basePath: [], isOpaque: false, depth: 0)
    }

    func finish() -> ChangeList {
        link()
        return ChangeList(
            Renames.pair(changes).sorted { $0.path.lexicographicallyPrecedes($1.path) }, cut: reader.cut)
    }

    // MARK: - The walk

    /// - base: what lies beneath, at `basePath` of the workspace; nil: nothing does.
    private func merged(
        _ upper: Tree, _ base: Tree?, _ path: Bytes, basePath: Bytes, isOpaque: Bool, depth: Int
    ) throws(SystemError) {
        let entries = try upper.entries()
        for entry in entries {
            if isFull() { return }
            guard let after = try upper.facts(name: entry.name) else { continue }
            let beneath = LayerWalk.under(basePath, entry.name)
            let before = moved.contains(beneath) ? nil : try base?.facts(name: entry.name)
            let place = LayerWalk.under(path, entry.name)
            if after.isWhiteout {
                if let before, let base { try deleted(entry.name, in: base, before, place, beneath, depth: depth) }
            } else if after.isDirectory {
                try directory(entry.name, upper, after, base, before, place, beneath, isOpaque: isOpaque, depth: depth)
            } else {
                try leaf(entry.name, upper, after, base, before, place, beneath, depth: depth)
            }
        }
        if let base {
            for name in gone.names(in: path) {
                guard let before = try base.facts(name: name) else { continue }
                let (place, beneath) = (LayerWalk.under(path, name), LayerWalk.under(basePath, name))
                try deleted(name, in: base, before, place, beneath, depth: depth)
            }
        }
        guard isOpaque, let base else { return }
        let kept = Set(entries.map(\.name))
        for entry in try base.entries() where !kept.contains(entry.name) {
            let beneath = LayerWalk.under(basePath, entry.name)
            guard !moved.contains(beneath), let before = try base.facts(name: entry.name) else { continue }
            try deleted(entry.name, in: base, before, LayerWalk.under(path, entry.name), beneath, depth: depth)
        }
    }

    private func directory(
        _ name: Bytes, _ upper: Tree, _ after: FileFacts, _ base: Tree?, _ before: FileFacts?, _ place: Bytes,
        _ beneath: Bytes, isOpaque: Bool, depth: Int
    ) throws(SystemError) {
        let inner = try open(name, in: upper, after)
        var new = Entry(after)
        new.attributes = try Attributes.digest(of: inner.descriptor)
        // What lies in an opaque directory hides all of the base, without a mark of its own.
        let hides = try Attributes.overlay("opaque", of: inner.descriptor, style) == Bytes("y")
        var isOpaque = isOpaque || hides
        var (old, lower, lowerPath) = (Entry?.none, Tree?.none, beneath)
        if style == .trusted, let redirect = try Attributes.overlay("redirect", of: inner.descriptor, style) {
            lowerPath = LayerWalk.resolve(redirect, basePath: Path.relativeParent(beneath))
            guard let facts = try self.base.facts(lowerPath), facts.isDirectory else {
                throw SystemError("open", lowerPath, errno: ESTALE)
            }
            let found = try self.base.directory(lowerPath)
            old = Entry(facts)
            old?.attributes = try Attributes.digest(of: found.descriptor)
            lower = found
            // Its base came with it, whatever is hidden above.
            isOpaque = hides
            var change = Change(place, .renamed, before: old, after: new)
            change.from = lowerPath
            add(change, after)
            if let before, let base {
                // What stood here before it came.
                try deleted(name, in: base, before, place, beneath, depth: depth)
            }
        } else if let before, before.isDirectory, let base {
            let found = try base.directory(name)
            var facts = Entry(before)
            facts.attributes = try Attributes.digest(of: found.descriptor)
            if !new.hasAttributes(of: facts) { add(Change(place, .mode, before: facts, after: new), after) }
            (old, lower) = (facts, found)
        } else {
            if let before, let base { old = try reader.entry(name, in: base, before, own: false) }
            add(Change(place, old == nil ? .added : .modified, before: old, after: new), after)
        }
        if depth >= bounds.depth { return deeper(place, old, new) }
        try merged(inner, lower, place, basePath: lowerPath, isOpaque: isOpaque, depth: depth + 1)
    }

    private func leaf(
        _ name: Bytes, _ upper: Tree, _ after: FileFacts, _ base: Tree?, _ before: FileFacts?, _ place: Bytes,
        _ beneath: Bytes, depth: Int
    ) throws(SystemError) {
        let new = try reader.entry(name, in: upper, after, own: true)
        guard let before, let base else {
            return add(Change(place, new.kind == .symlink ? .symlink : .added, before: nil, after: new), after)
        }
        if before.isDirectory {
            let old = Entry(before)
            add(Change(place, new.kind == .symlink ? .symlink : .modified, before: old, after: new), after)
            let inner = try base.directory(name)
            return try contents(of: inner, place, beneath, depth: depth + 1)
        }
        let old = try reader.entry(name, in: base, before, own: false)
        var change = Change(place, .modified, before: old, after: new)
        if new.hasContent(of: old) {
            if new.hasAttributes(of: old) {
                if new.identity.links == 1 { return }
                guard let first = unchanged[new.identity] else {
                    unchanged[new.identity] = (place, old.identity)
                    return
                }
                // Two files that were alike are one now; `link` says of which this is a name.
                if first.base.inode == old.identity.inode { return }
            }
            change.kind = .mode
        } else if new.kind == .symlink {
            change.kind = .symlink
        }
        if linksBreak, before.links > 1 { change.flags.insert(.unlinked) }
        add(change, after)
    }

    /// A name that is gone, and all that was beneath it.
    private func deleted(
        _ name: Bytes, in base: Tree, _ before: FileFacts, _ place: Bytes, _ beneath: Bytes, depth: Int
    ) throws(SystemError) {
        if isFull() { return }
        add(Change(place, .deleted, before: try reader.entry(name, in: base, before, own: false), after: nil), nil)
        if !before.isDirectory { return }
        if depth >= bounds.depth { return deeper(place, Entry(before), nil) }
        try contents(of: try base.directory(name), place, beneath, depth: depth + 1)
    }

    private func contents(of base: Tree, _ place: Bytes, _ beneath: Bytes, depth: Int) throws(SystemError) {
        for entry in try base.entries() {
            let lower = LayerWalk.under(beneath, entry.name)
            guard !moved.contains(lower), let before = try base.facts(name: entry.name) else { continue }
            try deleted(entry.name, in: base, before, LayerWalk.under(place, entry.name), lower, depth: depth)
        }
    }

    // MARK: - What is noted

    private func add(_ change: Change, _ after: FileFacts?) {
        var change = change
        if let after {
            if after.mode & 0o6000 != 0 { change.flags.insert(.setuid) }
            if change.after?.kind.isPlain == false { change.flags.insert(.special) }
        }
        // Attributes are changed in place, so that the file keeps its other names.
        if change.kind == .mode, let before = change.before, before.kind == .file, before.identity.links > 1 {
            change.flags.insert(.linked)
        }
        if let before = change.before, before.identity.changed > began { change.flags.insert(.raced) }
        for entry in [change.before, change.after] {
            if let entry, entry.kind == .file, entry.digest == nil { change.flags.insert(.undigested) }
        }
        changes.append(change)
    }

    private func deeper(_ place: Bytes, _ before: Entry?, _ after: Entry?) {
        reader.note(.depth)
        if changes.last?.path != place { changes.append(Change(place, .mode, before: before, after: after)) }
        changes[changes.count - 1].flags.insert(.deeper)
    }

    private func isFull() -> Bool {
        if changes.count < bounds.entries { return false }
        reader.note(.entries)
        return true
    }

    /// A directory of the layer that its mode closes to us is opened up for the walk.
    private func open(_ name: Bytes, in upper: Tree, _ facts: FileFacts) throws(SystemError) -> Tree {
        if facts.permissions & 0o500 == 0o500 || geteuid() == 0 { return try upper.directory(name) }
        let opened = facts.permissions | 0o700
        if name.withCString({ fchmodat(upper.raw, $0, opened, 0) }) < 0 { throw SystemError.last("chmod", name) }
        let tree = try upper.directory(name)
        // Open by now: what is in it stays readable through this descriptor only where it may be searched.
        closed.append((tree, facts.permissions))
        return tree
    }

    private var closed: [(tree: Tree, mode: mode_t)] = []

    deinit { for (tree, mode) in closed { _ = fchmod(tree.raw, mode) } }

    // MARK: - Hard links

    /// Of the names that a file of the layer has, the first stands for the content, and the others are links to it; one
    /// that is as it was stands before all.
    private func link() {
        var first = unchanged.mapValues(\.path)
        let order = changes.indices.sorted { changes[$0].path.lexicographicallyPrecedes(changes[$1].path) }
        for index in order {
            guard let after = changes[index].after, after.kind == .file, after.identity.links > 1 else { continue }
            if let leader = first[after.identity] {
                changes[index].linkOf = leader
            } else {
                first[after.identity] = changes[index].path
            }
        }
    }

    // MARK: - Paths

    static func under(_ path: Bytes, _ name: Bytes) -> Bytes { path.isEmpty ? name : Path.join(path, name) }

    /// A redirect is absolute, from the overlay's top, or a name in the same directory of the base.
    static func resolve(_ redirect: Bytes, basePath: Bytes) -> Bytes {
        Path.isAbsolute(redirect) ? Bytes(redirect.dropFirst()) : under(basePath, redirect)
    }
}
