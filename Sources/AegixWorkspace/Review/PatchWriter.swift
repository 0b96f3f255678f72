// Side effects: reads the workspace and a layer through a ReviewSource. All changes as one patch.

import AegixSystem

/// One patch of many files, whole or not at all: whoever pipes it on can't see where it would have broken off.
///
/// Not in it: what lies in git directories, which no patch may touch and git refuses; special files; directories; permissions
/// other than "executable", times and xattrs. What was left out is counted.
public struct PatchWriter {
    public struct LeftOut: Equatable, Sendable {
        public var inGit = 0
        /// Special files, empty directories, permissions and times.
        public var other = 0
    }

    private let source: ReviewSource
    private let list: ChangeList
    /// Directories that something comes to, and that something goes from.
    private let filled: Set<Bytes>
    private let emptied: Set<Bytes>
    private var deletions = Bytes()
    private var rest = Bytes()
    public private(set) var leftOut = LeftOut()

    /// Of one file, of which both sides are held in memory.
    private static let longest: UInt64 = 256 << 20
    private static let most = 1 << 30

    public init(_ list: ChangeList, from source: ReviewSource) {
        (self.list, self.source) = (list, source)
        filled = Set(list.changes.filter { $0.after != nil }.map { Path.relativeParent($0.path) })
        emptied = Set(list.changes.filter { $0.before != nil }.map { Path.relativeParent($0.from ?? $0.path) })
    }

    /// - wanted: which changes; a directory that moved brings all that is in it.
    public mutating func make(_ wanted: (Change) -> Bool) throws(Failure) -> Bytes {
        for change in list.changes where wanted(change) {
            if [change.path, change.from ?? []].contains(where: PatchWriter.isInGit) {
                leftOut.inGit += 1
            } else if change.kind == .renamed, change.after?.kind == .directory, let from = change.from {
                try move(from, to: change.path)
            } else {
                try add(change)
            }
            if deletions.count + rest.count > PatchWriter.most {
                throw Failure(
                    "review.large", "the patch would be longer than 1 GiB. Choose a part of it with --only.")
            }
        }
        return deletions + rest
    }

    private mutating func add(_ change: Change) throws(Failure) {
        let (old, new) = (change.before?.kind, change.after?.kind)
        let hasOld = old == .file || old == .symlink
        let hasNew = new == .file || new == .symlink
        guard hasOld || hasNew else {
            if !isCarried(change) { leftOut.other += 1 }
            if source.isStale(change) { throw PatchWriter.failure(.stale, change.path) }
            return
        }
        let before = try bytes(source.before(change, limit: PatchWriter.longest), change.path)
        let after = try bytes(source.after(change, limit: PatchWriter.longest), change.path)
        let origin = hasOld ? source.place(change) : change.path
        let patches = Patch.make(
            Patch.Side(origin, change.before, before), Patch.Side(change.path, change.after, after))
        if patches.isEmpty || hasNew && new != .symlink && hasOtherAttributes(change) { leftOut.other += 1 }
        for patch in patches { write(patch) }
    }

    /// A directory comes and goes with what is in it.
    private func isCarried(_ change: Change) -> Bool {
        if change.kind == .mode { return false }
        if let after = change.after { return after.kind == .directory && filled.contains(change.path) }
        return change.before?.kind == .directory && emptied.contains(change.path)
    }

    /// What a patch says of permissions is whether a file is executable.
    private func hasOtherAttributes(_ change: Change) -> Bool {
        guard let after = change.after else { return false }
        guard let before = change.before, before.kind == .file else {
            return after.attributes != nil || after.mode & 0o1600 != 0o600 || after.mode & 0o444 != 0o444
        }
        return after.mode & 0o1666 != before.mode & 0o1666 || after.attributes != before.attributes
    }

    /// A directory that was renamed without being copied: each file in it that isn't listed by itself.
    private mutating func move(_ from: Bytes, to path: Bytes) throws(Failure) {
        let listed = Set(list.changes.flatMap { [$0.path, $0.from ?? $0.path] })
        var files: [(from: Bytes, to: Bytes, entry: Entry)] = []
        do throws(SystemError) {
            try source.beneath(from) { place, entry in
                let target = path + place[from.count...]
                if entry.kind == .directory || listed.contains(target) || listed.contains(place) { return }
                files.append((place, target, entry))
            }
            for file in files {
                if PatchWriter.isInGit(file.to) || PatchWriter.isInGit(file.from) {
                    leftOut.inGit += 1
                    continue
                }
                guard case .bytes(let bytes) = try source.unchanged(file.from, limit: PatchWriter.longest) else {
                    leftOut.other += 1
                    continue
                }
                for patch in Patch.make(
                    Patch.Side(file.from, file.entry, bytes), Patch.Side(file.to, file.entry, bytes))
                {
                    write(patch)
                }
            }
        } catch {
            throw Failure("review.unreadable", "can't read \(from.shown) of the workspace", error)
        }
    }

    private mutating func write(_ patch: Patch) {
        if patch.isDeletion { patch.write(into: &deletions) } else { patch.write(into: &rest) }
    }

    private func bytes(_ content: ReviewSource.Content, _ path: Bytes) throws(Failure) -> Bytes {
        switch content {
        case .none: return []
        case .bytes(let bytes): return bytes
        case .unavailable(let reason): throw PatchWriter.failure(reason, path)
        }
    }

    private static func failure(_ reason: ReviewSource.Reason, _ path: Bytes) -> Failure {
        switch reason {
        case .stale:
            Failure(
                "review.stale",
                "the workspace changed since the run: \(path.shown) isn't what it was, so there is no patch of it. "
                    + "Choose other paths with --only.", exitCode: 1)
        case .altered:
            Failure(
                "review.altered",
                "the layer isn't what the record says: \(path.shown) was changed after the run. Run it again.")
        case .large:
            Failure("review.large", "\(path.shown) is too large for a patch. Choose other paths with --only.")
        case .unreadable:
            Failure(
                "review.unreadable", "\(path.shown) can't be read, or never was. Choose other paths with --only.")
        }
    }

    /// Whatever way it is spelled: on some file systems all of them are one.
    private static func isInGit(_ path: Bytes) -> Bool { FoldedName.components(path).contains(GitNames.directory) }
}
