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
    private let closed: Closed
    private let copier = ArtifactFile()

    /// A directory that runs write to.
    public struct Writable: Equatable, Sendable {
        var device: UInt64
        var inode: UInt64

        public init(device: UInt64, inode: UInt64) { (self.device, self.inode) = (device, inode) }
    }

    /// Where nothing is put on the way down from DIR: a path there was chosen by the command, not by the caller.
    public struct Closed: Sendable {
        /// What runs write to, the workspace first.
        let writable: [Writable]
        /// aegix's own, by their paths: one that is missing comes to be while directories are made.
        let own: [(path: Bytes, what: String)]

        public init(writable: [Writable], own: [(path: Bytes, what: String)]) {
            (self.writable, self.own) = (writable, own)
        }

        /// nil: it is none of them.
        func what(_ facts: FileFacts) -> String? {
            let here = Writable(device: facts.device, inode: facts.inode)
            if let index = writable.firstIndex(of: here) {
                return index == 0 ? "the workspace" : "a path of files.write"
            }
            return whatOwn(facts)
        }

        func whatOwn(_ facts: FileFacts) -> String? {
            own.first { own in
                var there = stat()
                return own.path.withCString { stat($0, &there) } == 0 && UInt64(there.st_dev) == facts.device
                    && UInt64(there.st_ino) == facts.inode
            }?.what
        }
    }

    /// DIR lies in what is aegix's own.
    public struct Refusal: Error, Equatable, Sendable {
        public let what: String
    }

    /// What wasn't put there, since it would have come to lie in `what`.
    public struct Refused: Equatable, Sendable {
        public var path: Bytes
        public var what: String
    }

    private static let mostLinks = 40

    /// - path: absolute.
    /// Throws SystemError, or Refusal.
    public init(_ path: Bytes, closed: Closed) throws {
        self.path = path
        self.closed = closed
        let writable = closed.writable
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
            let above = at
            at = try ArtifactOut.directory(name, in: above)
            let now = try FileFacts(of: at.descriptor)
            if let what = closed.whatOwn(now) {
                if facts == nil { ArtifactOut.unmake(name, in: above) }
                throw Refusal(what: what)
            }
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

    /// The one that was just made.
    private static func unmake(_ name: Bytes, in tree: Tree) {
        _ = name.withCString { unlinkat(tree.raw, $0, AT_REMOVEDIR) }
    }

    // MARK: - After the run

    /// Returns what was left out: the others are there.
    ///
    /// - from: the run's `artifacts/`.
    public func copy(_ artifacts: [Artifact], from: Bytes, run: RunID) throws(SystemError) -> [Refused] {
        let source = Chain(try Tree(at: from), closed: nil)
        let target = Chain(top, closed: closed)
        let temporary = Bytes(".aegix-\(run)")
        var refused: [Refused] = []
        for artifact in artifacts {
            let names = Path.components(artifact.path)
            guard let name = names.last else { continue }
            let (here, there) = (try source.open(names.dropLast()), try target.open(names.dropLast()))
            var what = there.what
            if what == nil, let facts = try there.tree.facts(name: name) { what = closed.what(facts) }
            if let what {
                refused.append(Refused(path: artifact.path, what: what))
                continue
            }
            try copy(artifact, try here.tree.file(name), to: there.tree, name, temporary)
        }
        return refused
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
        /// Where nothing may be put, and why.
        typealias Place = (tree: Tree, what: String?)
        private var open: [(name: Bytes, place: Place)] = []
        private let top: Tree
        private let closed: Closed?

        /// - closed: makes what is missing, but in none of these; nil: makes nothing.
        init(_ top: Tree, closed: Closed?) { (self.top, self.closed) = (top, closed) }

        /// The directory, or the first closed one on the way to it.
        func open(_ names: ArraySlice<Bytes>) throws(SystemError) -> Place {
            let names = Array(names)
            var shared = 0
            while shared < min(names.count, open.count), open[shared].name == names[shared] { shared += 1 }
            open.removeLast(open.count - shared)
            for name in names[shared...] {
                let above: Place = open.last?.place ?? (top, nil)
                if above.what != nil { return above }
                open.append((name, try step(name, above.tree)))
            }
            return open.last?.place ?? (top, nil)
        }

        private func step(_ name: Bytes, _ above: Tree) throws(SystemError) -> Place {
            guard let closed else { return (try above.directory(name), nil) }
            let isMissing = try above.facts(name: name) == nil
            if isMissing { try above.makeDirectory(name) }
            let tree = try above.directory(name)
            let what = closed.what(try FileFacts(of: tree.descriptor))
            if isMissing, what != nil { ArtifactOut.unmake(name, in: above) }
            return (tree, what)
        }
    }
}
