// Side effects: makes the directory of `--out` before a run and puts copies of the artifacts there after it.

import AegixSystem
import CAegix
import Glibc

/// Where the caller wants the artifacts. Opened before anything runs. A previous run may have written in the workspace: from there on no symlink
/// is followed, neither on the way to the directory nor in it. Elsewhere the path is the caller's own word.
public final class ArtifactOut {
    public let path: Bytes
    private let top: Tree
    private let place: Writable
    private let copier = ArtifactFile()

    /// A directory that runs write to.
    public struct Writable: Equatable, Sendable {
        var device: UInt64
        var inode: UInt64

        public init(device: UInt64, inode: UInt64) { (self.device, self.inode) = (device, inode) }
    }

    private static let mostLinks = 40

    /// - path: absolute.
    public init(_ path: Bytes, writable: [Writable]) throws(SystemError) {
        self.path = path
        var at = Tree(owning: try Descriptor.open([Path.slash], Descriptor.pathOnly))
        var names = Array(Path.components(path).reversed())
        var links = 0
        var isInside = false
        while let name = names.popLast() {
            if name == Bytes(".") { continue }
            if name == Bytes("..") {
                if isInside { throw SystemError("open", path, errno: ELOOP) }
                at = try ArtifactOut.directory(name, in: at)
                continue
            }
            let facts = try at.facts(name: name)
            if let facts, facts.isLink {
                links += 1
                if isInside || links > ArtifactOut.mostLinks { throw SystemError("open", path, errno: ELOOP) }
                let target = try at.link(name)
                if Path.isAbsolute(target) { at = Tree(owning: try Descriptor.open([Path.slash], Descriptor.pathOnly)) }
                names += Path.components(target).reversed()
                continue
            }
            if facts == nil { try at.makeDirectory(name) }
            at = try ArtifactOut.directory(name, in: at)
            let now = try FileFacts(of: at.descriptor)
            isInside = isInside || writable.contains(Writable(device: now.device, inode: now.inode))
        }
        top = at
        let now = try FileFacts(of: at.descriptor)
        place = Writable(device: now.device, inode: now.inode)
    }

    public func isPlace(_ other: Writable) -> Bool { place == other }

    private static func directory(_ name: Bytes, in tree: Tree) throws(SystemError) -> Tree {
        Tree(owning: try Descriptor.open(name, Descriptor.pathOnly | O_DIRECTORY | O_NOFOLLOW, at: tree.raw))
    }

    // MARK: - After the run

    /// - from: the run's `artifacts/`.
    public func copy(_ artifacts: [Artifact], from: Bytes, run: RunID) throws(SystemError) {
        let source = Chain(try Tree(at: from), makes: false)
        let target = Chain(top, makes: true)
        let temporary = Bytes(".aegix-\(run)")
        for artifact in artifacts {
            let names = Path.components(artifact.path)
            guard let name = names.last else { continue }
            let (here, there) = (try source.open(names.dropLast()), try target.open(names.dropLast()))
            try copy(artifact, try here.file(name), to: there, name, temporary)
        }
    }

    private func copy(
        _ artifact: Artifact, _ source: consuming Descriptor, to tree: Tree, _ name: Bytes, _ temporary: Bytes
    ) throws(SystemError) {
        let file = try tree.create(temporary)
        var isThere = false
        defer { if !isThere { do throws(SystemError) { try tree.unlink(temporary) } catch {} } }
        let result: ArtifactFile.Result
        do throws(ArtifactFile.Fault) {
            result = try copier.copy(source, to: file, room: artifact.size, until: .max)
        } catch {
            switch error {
            case .source(let error), .target(let error): throw error
            }
        }
        guard case .copied(_, let digest, _) = result, digest == artifact.digest else {
            throw SystemError("copy", artifact.path, errno: ESTALE)
        }
        let moved = temporary.withCString { from in name.withCString { renameat(tree.raw, from, tree.raw, $0) } }
        if moved < 0 { throw SystemError.last("rename", artifact.path) }
        isThere = true
    }

    /// The directories down to the file that comes next: neighbours share them.
    private final class Chain {
        private var open: [(name: Bytes, tree: Tree)] = []
        private let top: Tree
        private let makes: Bool

        init(_ top: Tree, makes: Bool) { (self.top, self.makes) = (top, makes) }

        func open(_ names: ArraySlice<Bytes>) throws(SystemError) -> Tree {
            let names = Array(names)
            var shared = 0
            while shared < min(names.count, open.count), open[shared].name == names[shared] { shared += 1 }
            open.removeLast(open.count - shared)
            for name in names[shared...] {
                let above = open.last?.tree ?? top
                if makes, try above.facts(name: name) == nil { try above.makeDirectory(name) }
                open.append((name, try above.directory(name)))
            }
            return open.last?.tree ?? top
        }
    }
}
