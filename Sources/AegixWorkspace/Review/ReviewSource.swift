// Side effects: reads the workspace and a layer; opens up directories of the layer that the run closed, for the moment.

import AegixSystem
import Glibc

/// The contents on both sides of a change, each exactly what was recorded, or a reason why it can't be had.
public final class ReviewSource {
    public enum Content: Sendable {
        /// A directory, a special file, or nothing at all: it has no content.
        case none
        /// A file's bytes, or where a symlink points.
        case bytes(Bytes)
        case unavailable(Reason)
    }

    public enum Reason: Sendable {
        /// The workspace has something else there now.
        case stale
        /// The layer has something else there than the record says.
        case altered
        /// Longer than the caller wants.
        case large
        /// Not readable, or never digested: nobody could say whether it is what it was.
        case unreadable
    }

    private let base: Tree
    private let upper: LayerFiles
    /// Directories that moved whole: where they are in the layer, and where they lie in the workspace.
    private let moved: [Bytes: Bytes]
    private var nearBase: (path: Bytes, tree: Tree)?

    public init(_ layer: Layer, over workspace: Bytes, _ list: ChangeList) throws(SystemError) {
        base = try Tree(at: workspace)
        upper = try LayerFiles(layer)
        var moved: [Bytes: Bytes] = [:]
        for change in list.changes where change.kind == .renamed && change.after?.kind == .directory {
            moved[change.path] = change.from
        }
        self.moved = moved
    }

    // MARK: - Before

    /// What the workspace has, if it is still what the run's changes were compared with.
    public func before(_ change: Change, limit: UInt64) -> Content {
        guard let entry = change.before else { return isFree(change.path) ? .none : .unavailable(.stale) }
        var found = Content.unavailable(.stale)
        for place in places(change) {
            do throws(SystemError) {
                found = try content(
                    entry, ReviewSource.name(place), in: try parent(of: place), limit: limit, else: .stale)
            } catch {
                found = .unavailable(ReviewSource.isAbsent(error) ? .stale : .unreadable)
            }
            if case .unavailable(.stale) = found { continue }
            return found
        }
        return found
    }

    /// The same question without the content: one stat where nothing was touched.
    public func isStale(_ change: Change) -> Bool {
        guard let entry = change.before else { return !isFree(change.path) }
        for place in places(change) {
            do throws(SystemError) {
                guard let facts = try parent(of: place).facts(name: ReviewSource.name(place)) else { continue }
                let now = Entry(facts)
                guard now.kind == entry.kind else { continue }
                if now.identity == entry.identity || now.kind == .directory { return false }
            } catch {
                continue
            }
            if case .unavailable(.stale) = before(change, limit: .max) { continue }
            return false
        }
        return true
    }

    /// Where the workspace has what a change is about: beneath a directory that moved, what stood there before it came, and what came
    /// with it, have the same path.
    private func places(_ change: Change) -> [Bytes] {
        if let from = change.from { return [from] }
        let origin = self.origin(change.path)
        return origin == change.path ? [origin] : [origin, change.path]
    }

    /// The one of these that holds what was there before; the first where none does.
    public func place(_ change: Change) -> Bytes {
        let places = self.places(change)
        guard places.count > 1, let entry = change.before else { return places[0] }
        for place in places {
            do throws(SystemError) {
                guard let facts = try parent(of: place).facts(name: ReviewSource.name(place)) else { continue }
                if Entry(facts).identity == entry.identity { return place }
            } catch {
                continue
            }
        }
        return places[0]
    }

    /// A path of the run's view as one of the workspace.
    public func origin(_ path: Bytes) -> Bytes {
        if moved.isEmpty { return path }
        var above = Path.relativeParent(path)
        while !above.isEmpty {
            if let from = moved[above] { return from + path[above.count...] }
            above = Path.relativeParent(above)
        }
        return path
    }

    /// Nothing at a path that nothing was at; the old place of a directory that moved counts as nothing.
    private func isFree(_ path: Bytes) -> Bool {
        for from in moved.values where Path.contains(from, path) { return true }
        do throws(SystemError) {
            return try base.facts(origin(path)) == nil
        } catch {
            return false
        }
    }

    /// What a directory that moved holds in the workspace.
    public func beneath(_ directory: Bytes, _ body: (Bytes, Entry) throws(SystemError) -> Void) throws(SystemError) {
        let tree = try base.directory(directory)
        for listed in try tree.entries() {
            guard let facts = try tree.facts(name: listed.name) else { continue }
            let place = Path.join(directory, listed.name)
            try body(place, Entry(facts))
            if facts.isDirectory { try beneath(place, body) }
        }
    }

    /// A file of the workspace that isn't in the list: it has no recorded digest.
    public func unchanged(_ path: Bytes, limit: UInt64) throws(SystemError) -> Content {
        let tree = try parent(of: path)
        guard let facts = try tree.facts(name: ReviewSource.name(path)) else { return .unavailable(.stale) }
        if facts.isLink { return .bytes(try tree.link(ReviewSource.name(path))) }
        if facts.size > limit { return .unavailable(.large) }
        return .bytes(try tree.file(ReviewSource.name(path)).readAll(limit: Int(clamping: limit)))
    }

    // MARK: - After

    /// What the layer has, if it is still what the run left.
    public func after(_ change: Change, limit: UInt64) -> Content {
        guard let entry = change.after else { return .none }
        if !entry.kind.isPlain || entry.kind == .directory { return .none }
        // A further name of a file may be there in the record only: the first one holds the content.
        for place in [change.path, change.linkOf].compactMap({ $0 }) {
            do throws(SystemError) {
                let tree = try upper.parent(of: place)
                guard try tree.facts(name: ReviewSource.name(place)) != nil else { continue }
                return try content(entry, ReviewSource.name(place), in: tree, limit: limit, else: .altered)
            } catch {
                if !ReviewSource.isAbsent(error) { return .unavailable(.unreadable) }
            }
        }
        return .unavailable(.altered)
    }

    // MARK: - Reading

    private func content(
        _ entry: Entry, _ name: Bytes, in tree: Tree, limit: UInt64, else reason: Reason
    ) throws(SystemError) -> Content {
        guard let facts = try tree.facts(name: name), Entry.Kind(facts.type) == entry.kind else {
            return .unavailable(reason)
        }
        switch entry.kind {
        case .symlink:
            let target = try tree.link(name)
            return target == entry.target ? .bytes(target) : .unavailable(reason)
        case .file:
            guard let digest = entry.digest else { return .unavailable(.unreadable) }
            if facts.size != entry.size { return .unavailable(reason) }
            if facts.size > limit { return .unavailable(.large) }
            let bytes: Bytes
            do throws(SystemError) {
                bytes = try EntryReader.open(name, in: tree, facts, own: reason == .altered).readAll(
                    limit: Int(clamping: entry.size))
            } catch {
                if error.errno == EFBIG { return .unavailable(reason) }
                throw error
            }
            return SHA256.hex(bytes) == digest ? .bytes(bytes) : .unavailable(reason)
        case .directory, .fifo, .socket, .device: return .none
        }
    }

    /// Neighbours come one after the other, so the last directory is the likely one.
    private func parent(of path: Bytes) throws(SystemError) -> Tree {
        let above = Path.relativeParent(path)
        if let nearBase, nearBase.path == above { return nearBase.tree }
        let tree = try base.directory(above)
        nearBase = (above, tree)
        return tree
    }

    /// The workspace's top has no name.
    private static func name(_ path: Bytes) -> Bytes { path.isEmpty ? Bytes(".") : Path.name(path) }

    private static func isAbsent(_ error: SystemError) -> Bool {
        [ENOENT, ENOTDIR, ELOOP, EXDEV].contains(error.errno)
    }
}
