// Side effects: reads the workspace and completes a layer.

import AegixSystem
import CAegix
import Glibc

/// Where root mounts the overlay, a directory of the base is renamed by a mark in the layer, and what is in it stays in the base. Review,
/// apply and replay deal in files: what such a directory holds is brought into the layer, at the new place, while the
/// workspace still is what the run saw. Blocks are shared where the file system can.
///
/// Not done for what is large: it stays a renamed directory, and is applied as one.
public struct Redirects {
    private let upper: Tree
    private let base: Tree
    private let duplicate = TreeDuplicate()
    /// Where renamed directories were.
    private let moved: Set<Bytes>

    private static let mostEntries: UInt64 = 20_000
    private static let mostBytes: UInt64 = 1 << 30

    private let links: HardLinks

    public static func complete(_ layer: Layer, over workspace: Bytes) throws(SystemError) {
        guard layer.style == .trusted else { return }
        let (upper, base) = (try Tree(at: layer.upper), try Tree(at: workspace))
        let found = try find(in: upper)
        let moved = Set(found.map(\.from))
        let work = Path.join(Path.parent(layer.upper), Bytes("work"))
        let links = try HardLinks(upper, base, work: work, moved: moved)
        let redirects = Redirects(upper, base, moved, links)
        if found.isEmpty { return try links.complete() }
        let above = try Tree(at: Path.parent(layer.upper))
        try above.removeAll(mark)
        _ = try above.create(mark)
        for one in found where try redirects.isSmall(one.from) { try redirects.complete(one.place, one.from) }
        try links.complete()
        try above.unlink(mark)
    }

    /// Beside the layer while it is completed: where a kill has left it, a file of the layer may be half a file.
    private static let mark = Bytes("completing")

    public static func isHalfComplete(_ layer: Layer) throws(SystemError) -> Bool {
        try Tree(at: Path.parent(layer.upper)).facts(name: mark) != nil
    }

    private init(_ upper: Tree, _ base: Tree, _ moved: Set<Bytes>, _ links: HardLinks) {
        (self.upper, self.base, self.moved, self.links) = (upper, base, moved, links)
    }

    private func isSmall(_ from: Bytes) throws(SystemError) -> Bool {
        let size = try TreeSize.measure(try base.directory(from))
        return !size.isCut && size.entries <= Redirects.mostEntries && size.bytes <= Redirects.mostBytes
    }

    // MARK: - Looking

    /// Renamed directories of a layer that isn't complete yet: where they are, and where the base has what is in them.
    public static func pairs(_ layer: Layer) throws(SystemError) -> [(place: Bytes, from: Bytes)] {
        layer.style == .trusted ? try find(in: try Tree(at: layer.upper)) : []
    }

    static func pairs(in upper: Tree?) throws(SystemError) -> [(place: Bytes, from: Bytes)] {
        guard let upper else { return [] }
        return try find(in: upper)
    }

    private static func find(in upper: Tree) throws(SystemError) -> [(place: Bytes, from: Bytes)] {
        var found: [(place: Bytes, from: Bytes)] = []
        try find(upper, [], basePath: [], depth: 0, &found)
        return found
    }

    private static func find(
        _ tree: Tree, _ path: Bytes, basePath: Bytes, depth: Int, _ found: inout [(place: Bytes, from: Bytes)]
    ) throws(SystemError) {
        if depth > ListingBounds().depth { return }
        for entry in try tree.entries() {
            guard let facts = try tree.facts(name: entry.name), facts.isDirectory else { continue }
            let inner = try tree.directory(entry.name)
            let place = LayerWalk.under(path, entry.name)
            var beneath = LayerWalk.under(basePath, entry.name)
            if let from = try Attributes.overlay("redirect", of: inner.descriptor, .trusted) {
                beneath = LayerWalk.resolve(from, basePath: basePath)
                found.append((place, beneath))
            }
            try find(inner, place, basePath: beneath, depth: depth + 1, &found)
        }
    }

    // MARK: - Completing

    private func complete(_ place: Bytes, _ from: Bytes) throws(SystemError) {
        let directory = try upper.directory(place)
        try merge(directory, try base.directory(from), from)
        let yes = Bytes("y")
        if aegix_set_attribute(directory.raw, "trusted.overlay.opaque", yes, yes.count, 0) < 0 {
            throw SystemError.last("setxattr", place)
        }
        if aegix_remove_attribute(directory.raw, "trusted.overlay.redirect") < 0 {
            throw SystemError.last("removexattr", place)
        }
    }

    /// What the layer has, or has taken away, stands before what is in the base.
    private func merge(_ directory: Tree, _ lower: Tree, _ path: Bytes) throws(SystemError) {
        for entry in try lower.entries() {
            let beneath = LayerWalk.under(path, entry.name)
            guard !moved.contains(beneath), let facts = try lower.facts(name: entry.name) else { continue }
            guard let there = try directory.facts(name: entry.name) else {
                try copy(entry.name, facts, lower, beneath, to: directory)
                continue
            }
            if !there.isDirectory || !facts.isDirectory { continue }
            let inner = try directory.directory(entry.name)
            // One that is complete in itself, or is another one's.
            if try Attributes.overlay("opaque", of: inner.descriptor, .trusted) != nil { continue }
            if try Attributes.overlay("redirect", of: inner.descriptor, .trusted) != nil { continue }
            try merge(inner, try lower.directory(entry.name), beneath)
        }
    }

    private func copy(
        _ name: Bytes, _ facts: FileFacts, _ lower: Tree, _ path: Bytes, to directory: Tree
    ) throws(SystemError) {
        if !facts.isDirectory {
            if try links.link(name, facts, in: lower, to: directory) { return }
            try duplicate.copy(name, in: lower, to: directory, name)
            return links.stands(name, in: directory, for: facts)
        }
        try directory.makeDirectory(name)
        let (from, made) = (try lower.directory(name), try directory.directory(name))
        for entry in try from.entries() {
            let beneath = LayerWalk.under(path, entry.name)
            guard !moved.contains(beneath), let facts = try from.facts(name: entry.name) else { continue }
            try copy(entry.name, facts, from, beneath, to: made)
        }
        if fchown(made.raw, facts.owner, facts.group) < 0 { throw SystemError.last("chown", name) }
        try FileAttributes(of: from.descriptor, facts).set(on: made.descriptor)
    }
}
