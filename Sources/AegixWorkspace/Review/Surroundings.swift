// Side effects: reads the workspace and a layer. What judging a change needs to know beyond the list.

import AegixSystem
import Glibc

/// What `Protection` asks of the trees; a test answers from memory.
public protocol Surroundings: AnyObject {
    /// The workspace's own path.
    var workspace: Bytes { get }
    /// What lies at a path of the workspace as the run found it.
    func kind(_ path: Bytes) throws(SystemError) -> Entry.Kind?
    /// All that lies beneath a directory of the workspace, relative to it; nil: more than can be looked at.
    func beneath(_ directory: Bytes) throws(SystemError) -> [(path: Bytes, kind: Entry.Kind)]?
    /// A file of the workspace; nil: it is none, or too long to be looked at.
    func before(_ path: Bytes) -> Bytes?
    /// The same of the layer.
    func after(_ path: Bytes) -> Bytes?
}

/// The real ones.
public final class LayerSurroundings: Surroundings {
    public let workspace: Bytes
    private let base: Tree
    private let upper: Tree
    private static let longest = 1 << 20
    private static let most = 10_000

    public init(_ layer: Layer, over workspace: Bytes) throws(SystemError) {
        self.workspace = workspace
        base = try Tree(at: workspace)
        upper = try Tree(at: layer.upper)
    }

    public func kind(_ path: Bytes) throws(SystemError) -> Entry.Kind? {
        do throws(SystemError) {
            return try base.facts(path).map { Entry.Kind($0.type) }
        } catch {
            // A mount, or closed to us: the run saw nothing else there that it could build on.
            if error.errno == EXDEV || error.errno == EACCES { return nil }
            throw error
        }
    }

    public func beneath(_ directory: Bytes) throws(SystemError) -> [(path: Bytes, kind: Entry.Kind)]? {
        var found: [(path: Bytes, kind: Entry.Kind)] = []
        do throws(SystemError) {
            var open: [(tree: Tree, path: Bytes)] = [(try base.directory(directory), [])]
            while let (tree, path) = open.popLast() {
                for entry in try tree.entries() {
                    guard let facts = try tree.facts(name: entry.name) else { continue }
                    if found.count >= LayerSurroundings.most { return nil }
                    let place = path.isEmpty ? entry.name : Path.join(path, entry.name)
                    found.append((place, Entry.Kind(facts.type)))
                    if facts.isDirectory { open.append((try tree.directory(entry.name), place)) }
                }
            }
        } catch {
            if error.errno == EXDEV || error.errno == EACCES || error.errno == EMFILE { return nil }
            throw error
        }
        return found
    }

    public func before(_ path: Bytes) -> Bytes? { read(path, in: base) }
    public func after(_ path: Bytes) -> Bytes? { read(path, in: upper) }

    private func read(_ path: Bytes, in tree: Tree) -> Bytes? {
        do throws(SystemError) {
            return try tree.file(path).readAll(limit: LayerSurroundings.longest)
        } catch {
            return nil  // What can't be looked at counts as the worst.
        }
    }
}
