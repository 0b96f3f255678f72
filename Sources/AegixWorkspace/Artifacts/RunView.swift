// Side effects: reads a workspace and a layer; opens up what the run closed of its own, for the moment.

import AegixSystem
import Glibc

/// The workspace as the command left it: its layer over the base, by descriptor, when nothing of the run is alive any more. Without a layer
/// it is the workspace itself.
///
/// Read as the command could read it. Not done here: hiding what was masked, and hard links of root's overlay, which
/// `Redirects.complete` brings into the layer before.
final class RunView {
    /// A directory of the view: one on either side, or both.
    final class Directory {
        fileprivate let upper: Tree?
        fileprivate var base: Tree?
        /// In the workspace, where `base` or what was renamed lies.
        fileprivate(set) var basePath: Bytes
        fileprivate var isOpaque: Bool
        fileprivate let closed: mode_t?

        fileprivate init(upper: Tree?, base: Tree?, basePath: Bytes, isOpaque: Bool, closed: mode_t? = nil) {
            (self.upper, self.base, self.basePath) = (upper, base, basePath)
            (self.isOpaque, self.closed) = (isOpaque, closed)
        }

        deinit { if let upper, let closed { _ = fchmod(upper.raw, closed) } }
    }

    struct Item {
        var name: Bytes
        var facts: FileFacts
        var source: Artifact.Source
        /// Where the workspace has it, or would have it.
        var basePath: Bytes
        /// What a directory of the layer is laid over.
        fileprivate var hasBase: Bool
    }

    let top: Directory
    let place: (device: UInt64, inode: UInt64)
    private let base: Tree
    private let style: Layer.Style
    private let identity: ReaderIdentity
    /// Directories of the base that are elsewhere now.
    private let moved: Set<Bytes>
    private let gone: DeletedNames?

    init(_ layer: Layer?, over workspace: Bytes, as identity: ReaderIdentity) throws(SystemError) {
        base = try Tree(at: workspace)
        let facts = try FileFacts(of: base.descriptor)
        place = (facts.device, facts.inode)
        let upper = try layer.map { layer throws(SystemError) in try Tree(at: layer.upper) }
        moved = layer?.style == .trusted ? Set(try Redirects.pairs(in: upper).map(\.from)) : []
        gone = try layer.map { layer throws(SystemError) in try DeletedNames(layer) }
        style = layer?.style ?? .user
        self.identity = identity
        top = Directory(upper: upper, base: base, basePath: [], isOpaque: false)
    }

    /// What is in a directory, in the order of the names' bytes.
    func items(_ directory: Directory) throws(SystemError) -> [Item] {
        let (base, path) = (directory.base, directory.basePath)
        return try identity.reading { () throws(SystemError) in
            var found: [Bytes: Item] = [:]
            if let base, !directory.isOpaque || directory.upper == nil {
                for entry in try base.entries() {
                    let place = LayerWalk.under(path, entry.name)
                    guard !moved.contains(place), let facts = try base.facts(name: entry.name) else { continue }
                    if directory.upper != nil, facts.isWhiteout { continue }
                    found[entry.name] = Item(
                        name: entry.name, facts: facts, source: .workspace, basePath: place, hasBase: true)
                }
            }
            if let upper = directory.upper {
                for name in gone?.names(in: path) ?? [] { found.removeValue(forKey: name) }
                for entry in try upper.entries() {
                    guard let facts = try upper.facts(name: entry.name) else { continue }
                    let beneath = found.removeValue(forKey: entry.name)
                    if facts.isWhiteout { continue }
                    found[entry.name] = Item(
                        name: entry.name, facts: facts, source: .layer, basePath: LayerWalk.under(path, entry.name),
                        hasBase: beneath?.facts.isDirectory == true)
                }
            }
            return found.values.sorted { $0.name.lexicographicallyPrecedes($1.name) }
        }
    }

    func directory(_ item: Item, in directory: Directory) throws(SystemError) -> Directory {
        guard item.source == .layer, let upper = directory.upper else {
            guard let base = directory.base else { throw SystemError("open", item.name, errno: ENOENT) }
            let inner = try identity.reading { () throws(SystemError) in try base.directory(item.name) }
            return Directory(upper: nil, base: inner, basePath: item.basePath, isOpaque: false)
        }
        let closed = item.facts.permissions & 0o500 == 0o500 ? nil : item.facts.permissions
        let inner = try identity.reading { () throws(SystemError) in
            if let closed, item.name.withCString({ fchmodat(upper.raw, $0, closed | 0o700, 0) }) < 0 {
                throw SystemError("open", item.name, errno: EACCES)
            }
            return try upper.directory(item.name)
        }
        let found = Directory(upper: inner, base: nil, basePath: item.basePath, isOpaque: false, closed: closed)
        // By the caller's own power: `trusted.*` shows itself to no other.
        if style == .trusted, let from = try Attributes.overlay("redirect", of: inner.descriptor, style) {
            found.basePath = LayerWalk.resolve(from, basePath: directory.basePath)
            let path = found.basePath
            found.base = try identity.reading { () throws(SystemError) in try base.directory(path) }
        } else if try Attributes.overlay("opaque", of: inner.descriptor, style) == Bytes("y") {
            found.isOpaque = true
        } else if item.hasBase, let base = directory.base {
            found.base = try identity.reading { () throws(SystemError) in try base.directory(item.name) }
        }
        return found
    }

    /// A regular file for reading; one that the run made and closed, too.
    func file(_ item: Item, in directory: Directory) throws(SystemError) -> Descriptor {
        let isOwn = item.source == .layer
        guard let tree = isOwn ? directory.upper : directory.base else {
            throw SystemError("open", item.name, errno: ENOENT)
        }
        return try identity.reading { () throws(SystemError) in
            do throws(SystemError) {
                return try EntryReader.open(item.name, in: tree, item.facts, own: isOwn)
            } catch {
                // Another's file in the layer, brought there by a rename: chmod is refused as reading was.
                if error.errno == EPERM { throw SystemError("open", item.name, errno: EACCES) }
                throw error
            }
        }
    }
}
