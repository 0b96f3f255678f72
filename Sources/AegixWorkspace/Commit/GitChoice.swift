// Pure but for the objects that it reads. Which of the changes are committed, and why some can't be.

import AegixSystem
import Glibc

/// Only what the run did may be in the commit: where a path had been changed before the run, and that isn't committed, the
/// commit would hold both.
struct GitChoice {
    var made: [Change] = []
    var gone: Set<Bytes> = []
    var untracked: [Bytes] = []
    var conflicts: [(path: Bytes, reason: String)] = []
    private let tree: GitTree
    private let root: GitID?
    private let staged: [Bytes: GitIndex.Entry]

    init(_ changes: [Change], _ tree: GitTree, _ root: GitID?, _ index: GitIndex) throws(SystemError) {
        (self.tree, self.root) = (tree, root)
        staged = Dictionary(index.entries.map { ($0.path, $0) }, uniquingKeysWith: { _, last in last })
        for change in changes where !change.path.isEmpty { try judge(change) }
    }

    static func mode(_ entry: Entry) -> UInt32 {
        entry.kind == .symlink ? GitEntry.link : entry.mode & 0o100 != 0 ? 0o100755 : 0o100644
    }

    private mutating func judge(_ change: Change) throws(SystemError) {
        // Times, xattrs, permissions: git knows of one bit.
        if change.from == nil, let before = change.before, let after = change.after, after.hasContent(of: before),
            GitChoice.mode(before) == GitChoice.mode(after)
        {
            return
        }
        let paths = [change.path, change.from].compactMap { $0 }
        if paths.contains(where: GitCommit.isInGit) {
            return conflicts.append((change.path, "lies in a git directory, or came out of one"))
        }
        if change.from != nil, change.after?.kind == .directory {
            return conflicts.append((change.path, "is a directory that was renamed as a whole"))
        }
        for path in paths where try tree.entry(path, in: root)?.mode == GitEntry.submodule {
            return conflicts.append((change.path, "lies in a submodule"))
        }
        let hadFile = change.before.map { $0.kind == .file || $0.kind == .symlink } ?? false
        if hadFile, let before = change.before {
            let place = change.from ?? change.path
            switch try standing(place, before) {
            case .committed: gone.insert(place)
            case .untracked:
                if change.after != nil { untracked.append(change.path) }
                return
            case .changed(let reason): return conflicts.append((place, reason))
            }
        }
        guard let after = change.after, after.kind == .file || after.kind == .symlink else { return }
        if change.from != nil || !hadFile {
            // Nothing was there when the run began, and nothing is to be there for git.
            if let there = try tree.entry(change.path, in: root), !there.isDirectory {
                return conflicts.append((change.path, "had been removed before the run, which isn't committed"))
            }
            if staged[change.path] != nil {
                return conflicts.append((change.path, "is staged, and wasn't there when the run began"))
            }
        }
        gone.remove(change.path)
        made.append(change)
    }

    private enum Standing {
        case committed, untracked
        case changed(String)
    }

    /// Whether a path was for the run what it is in the commit.
    private func standing(_ path: Bytes, _ before: Entry) throws(SystemError) -> Standing {
        let (committed, index) = (try tree.entry(path, in: root), staged[path])
        guard let committed, !committed.isDirectory else {
            return index == nil ? .untracked : .changed("is staged, and not committed yet")
        }
        guard let index else { return .changed("is staged to be removed") }
        if index.stage != 0 { return .changed("isn't merged") }
        if index.id != committed.id || index.mode != committed.mode { return .changed("has staged changes") }
        let content = try tree.objects.read(committed.id, .blob)
        let isSame = before.kind == .symlink ? content == before.target : SHA256.hex(content) == before.digest
        if isSame, committed.mode == GitChoice.mode(before) { return .committed }
        return .changed("had changes that aren't committed, or a filter of git's, before the run")
    }
}
