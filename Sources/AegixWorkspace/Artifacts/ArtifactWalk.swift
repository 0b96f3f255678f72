// Side effects: reads what a run left of its workspace, and copies what the patterns name.

import AegixPolicy
import AegixSystem
import Glibc

/// Collects artifacts: the one place that decides what is copied out of a sandbox.
///
/// Stages: walk the view, only where a pattern may match; what isn't a plain file, is denied or meets a bound is noted; the rest is
/// copied, private, into `target`. Nothing is followed, no mount is entered and nothing but regular files is opened.
public final class ArtifactWalk {
    /// What the walk has to know of the run.
    public struct Ground {
        /// nil: nothing was changed, or was changed in place.
        public var layer: Layer?
        public var workspace: Bytes
        /// That the run had: another one may have come to its path since.
        public var directory: (device: UInt64, inode: UInt64)
        public var identity: ReaderIdentity
        /// Masked in the run, from the workspace's top, where they lay at its start and where they lie now.
        public var hidden: Set<Bytes> = []
        /// `files.deny`, from the root: for what was made later.
        public var denied: [PathPattern] = []
        /// The run's secrets don't get into a copy.
        public var redactor: Redactor?
        /// The run worked on a copy that was begun then; nil: it saw the workspace itself.
        public var copied: Int64?

        public init(
            workspace: Bytes, _ directory: (device: UInt64, inode: UInt64), layer: Layer?, identity: ReaderIdentity
        ) {
            (self.workspace, self.directory) = (workspace, directory)
            (self.layer, self.identity) = (layer, identity)
        }
    }

    private let ground: Ground
    private let above: [Bytes]
    private let patterns: ArtifactPatterns
    private let bounds: ArtifactBounds
    private let view: RunView
    private let copier: ArtifactFile
    private let deadline: UInt64
    private var left: UInt64
    private var names = 0
    private var entries = 0
    private var found: ArtifactCollection
    private var isDiskFull = false

    /// Some bound was met, and nothing more is looked at.
    private enum Stop: Error {
        case bound(ArtifactCollection.Bound)
        case failure(SystemError)
    }

    public static func collect(
        _ texts: [String], from ground: Ground, into target: Bytes, _ bounds: ArtifactBounds
    ) -> ArtifactCollection {
        var none = ArtifactCollection(texts)
        do {
            let walk = try ArtifactWalk(ArtifactPatterns(texts), texts, ground, bounds)
            walk.run(ArtifactPlace(try Tree(at: target)))
            // The record has to find room, too.
            if walk.isDiskFull {
                walk.found.artifacts = []
                try TreeRemoval.remove(target)
            }
            return walk.found
        } catch let error as PathPattern.Defect {
            none.error = "a pattern \(error.reason)"
        } catch {
            none.error = "can't look at what the run left: \(error)"
        }
        return none
    }

    private init(
        _ patterns: ArtifactPatterns, _ texts: [String], _ ground: Ground, _ bounds: ArtifactBounds
    ) throws(SystemError) {
        self.ground = ground
        self.patterns = patterns
        self.bounds = bounds
        above = Path.components(ground.workspace)
        copier = ArtifactFile(ground.redactor)
        view = try RunView(ground.layer, over: ground.workspace, as: ground.identity)
        let now = view.place
        if now != ground.directory { throw SystemError("open", ground.workspace, errno: ESTALE) }
        deadline = Clock.monotonic() &+ bounds.time
        left = bounds.bytes
        found = ArtifactCollection(texts)
    }

    private func run(_ target: ArtifactPlace) {
        do throws(Stop) {
            try directory(view.top, [], patterns.top, target, depth: 0)
        } catch {
            switch error {
            case .bound(let bound): found.bounds.insert(bound)
            case .failure(let error):
                found.error = "can't copy what the run left: \(error)"
                isDiskFull = error.errno == ENOSPC || error.errno == EDQUOT
                if isDiskFull { found.error? += "; what was copied is removed" }
            }
        }
    }

    // MARK: - The walk

    private func directory(
        _ directory: RunView.Directory, _ path: [Bytes], _ place: ArtifactPatterns.Place, _ target: ArtifactPlace,
        depth: Int
    ) throws(Stop) {
        let items: [RunView.Item]
        do throws(SystemError) {
            items = try view.items(directory)
        } catch {
            return try closed(error, path, nil)
        }
        for item in items {
            entries += 1
            if entries > bounds.entries { throw .bound(.entries) }
            if Clock.monotonic() > deadline { throw .bound(.time) }
            let next = patterns.step(place, item.name)
            if next.leadsNowhere { continue }
            try self.item(item, in: directory, path + [item.name], next, target, depth: depth)
        }
    }

    private func item(
        _ item: RunView.Item, in directory: RunView.Directory, _ path: [Bytes], _ place: ArtifactPatterns.Place,
        _ target: ArtifactPlace, depth: Int
    ) throws(Stop) {
        let kind = Entry.Kind(item.facts.type)
        let isNamed = !place.matched.isEmpty
        if isDenied(path, item) {
            if isNamed || kind == .directory { skip(item, path, place, .denied) }
            return
        }
        if let reason = Artifact.Reason(kind) {
            // A pattern that leads through a symlink says where it ended.
            if isNamed || kind == .symlink && place.isOnTheWay { skip(item, path, place, reason) }
            return
        }
        if kind == .file { return isNamed ? try file(item, in: directory, path, place, target) : () }
        if depth + 1 >= bounds.depth {
            found.bounds.insert(.depth)
            return skip(item, path, place, .depth)
        }
        let inner: RunView.Directory
        do throws(SystemError) {
            inner = try view.directory(item, in: directory)
        } catch {
            return try closed(error, path, (item, place))
        }
        try self.directory(inner, path, place, ArtifactPlace(item.name, in: target), depth: depth + 1)
    }

    private func file(
        _ item: RunView.Item, in directory: RunView.Directory, _ path: [Bytes], _ place: ArtifactPatterns.Place,
        _ target: ArtifactPlace
    ) throws(Stop) {
        if let copied = ground.copied, item.source == .workspace, item.facts.changed > copied {
            return skip(item, path, place, .raced)
        }
        if item.facts.size > left { return full(item, path, place) }
        let text = Bytes(path.joined(separator: [Path.slash]))
        // The copy would have the name.
        if ground.redactor?.finds(in: text) == true { return skip(item, path, place, .secret) }
        if found.artifacts.count >= bounds.files || names + text.count > bounds.names { throw .bound(.count) }
        do {
            let source = try view.file(item, in: directory)
            switch try copy(source, item.name, target) {
            case .copied(let size, let digest, let redacted):
                var artifact = ArtifactWalk.artifact(item, text)
                (artifact.size, artifact.digest, artifact.redacted) = (size, digest, redacted)
                found.artifacts.append(artifact)
                (left, names) = (left - size, names + text.count)
                for index in place.matched { found.patterns[index].matched += 1 }
            case .tooLong: full(item, path, place)
            case .late: throw Stop.bound(.time)
            }
        } catch let stop as Stop {
            throw stop
        } catch let error as SystemError {
            try closed(error, path, (item, place))
        } catch ArtifactFile.Fault.source(let error) {
            try closed(error, path, (item, place))
        } catch ArtifactFile.Fault.target(let error) {
            throw .failure(error)
        } catch {
            throw .failure(SystemError("copy", text, errno: EIO))
        }
    }

    private func copy(
        _ source: borrowing Descriptor, _ name: Bytes, _ place: ArtifactPlace
    ) throws(ArtifactFile.Fault) -> ArtifactFile.Result {
        let tree: Tree
        let target: Descriptor
        do throws(SystemError) {
            tree = try place.open()
            target = try tree.create(name)
        } catch {
            throw .target(error)
        }
        var isWhole = false
        defer { if !isWhole { do throws(SystemError) { try tree.unlink(name) } catch {} } }
        let result = try copier.copy(source, to: target, room: left, until: deadline)
        if case .copied = result { isWhole = true }
        return result
    }

    // MARK: - What is left out

    /// A name from the workspace's top, or a directory above it, is masked or named by `files.deny`; so is what the base has there.
    private func isDenied(_ path: [Bytes], _ item: RunView.Item) -> Bool {
        if !ground.hidden.isEmpty {
            let text = Bytes(path.joined(separator: [Path.slash]))
            if ground.hidden.contains(text) || ground.hidden.contains(item.basePath) { return true }
        }
        return ground.denied.contains { $0.matches(names: above + path) }
    }

    /// - what: nil for a directory that was entered.
    private func closed(
        _ error: SystemError, _ path: [Bytes], _ what: (item: RunView.Item, place: ArtifactPatterns.Place)?
    ) throws(Stop) {
        if [EMFILE, ENFILE, ENOMEM].contains(error.errno) { throw .failure(error) }
        guard let what else { return skip(nil, path, nil, .unreadable) }
        skip(what.item, path, what.place, error.errno == EXDEV ? .mount : .unreadable)
    }

    private func full(_ item: RunView.Item, _ path: [Bytes], _ place: ArtifactPatterns.Place) {
        found.bounds.insert(.maxBytes)
        skip(item, path, place, .maxBytes)
    }

    private func skip(
        _ item: RunView.Item?, _ path: [Bytes], _ place: ArtifactPatterns.Place?, _ reason: Artifact.Reason
    ) {
        found.skippedCount += 1
        for index in place?.matched ?? [] { found.patterns[index].matched += 1 }
        if found.skipped.count >= bounds.skipped { return }
        let text = Bytes(path.joined(separator: [Path.slash]))
        var artifact =
            item.map { ArtifactWalk.artifact($0, text) }
            ?? Artifact(path: text, kind: .directory, mode: 0, source: .workspace, size: 0)
        artifact.skipped = reason
        found.skipped.append(artifact)
    }

    private static func artifact(_ item: RunView.Item, _ path: Bytes) -> Artifact {
        let kind = Entry.Kind(item.facts.type)
        return Artifact(
            path: path, kind: kind, mode: item.facts.permissions, source: item.source,
            size: kind == .file ? item.facts.size : 0)
    }
}

/// A directory beneath `artifacts/`, made when something comes into it.
final class ArtifactPlace {
    private let above: ArtifactPlace?
    private let name: Bytes
    private var tree: Tree?

    init(_ top: Tree) { (above, name, tree) = (nil, [], top) }
    init(_ name: Bytes, in above: ArtifactPlace) { (self.above, self.name) = (above, name) }

    func open() throws(SystemError) -> Tree {
        if let tree { return tree }
        guard let above = try above?.open() else { throw SystemError("open", name, errno: ENOENT) }
        try above.makeDirectory(name)
        let made = try above.directory(name)
        tree = made
        return made
    }
}
