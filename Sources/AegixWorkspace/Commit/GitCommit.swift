// Side effects: writes objects of a workspace's repository, and moves its branch.

import AegixSystem
import CAegix
import Glibc

/// What a commit is to say.
public struct CommitRequest: Sendable {
    public var message: Bytes
    public var author: GitIdentity
    public var committer: GitIdentity

    public init(message: Bytes, author: GitIdentity, committer: GitIdentity) {
        (self.message, self.author, self.committer) = (message, author, committer)
    }
}

/// A commit of a run's changes and nothing else, made without git: no hook, filter, fsmonitor, signing program or alias can run.
///
/// Before the apply: what can't be committed is refused; the objects are written, which nobody sees; branch and index are
/// locked as git locks them. After it: the branch, its log, the index. What was staged besides stays staged.
public final class GitCommit {
    public let id: String
    /// Applied, but not tracked by git before: in no commit.
    public let untracked: [Bytes]
    /// A lock that an interruption left would stop git itself.
    private let waiting: SignalHold
    private let repository: GitRepository
    private let request: CommitRequest
    private let held: HeldWorkspace
    private let edits: [Bytes: Edit?]
    private let locks: GitLocks
    private var staged: GitIndex

    /// Whether a path lies in a git directory of any work tree, or is one.
    public static func isInGit(_ path: Bytes) -> Bool { FoldedName.components(path).contains(Bytes(".git")) }

    struct Edit {
        var entry: GitEntry
        var after: Entry
    }

    /// The longest file that is committed.
    private static let longest: UInt64 = 256 << 20

    /// Stages: the repository; what of the changes can be committed; the objects; the locks. Nothing of it can be seen yet.
    public init(
        _ request: CommitRequest, of run: RunID, _ changes: [Change], _ source: ReviewSource, in held: HeldWorkspace
    ) throws(Failure) {
        let repository = try GitRepository(at: held)
        (self.repository, self.request, self.held) = (repository, request, held)
        do throws(SystemError) {
            let index = try repository.index()
            staged = try GitCommit.parsed(index, repository.format)
            let tree = GitTree(objects: repository.objects)
            let root = try repository.head.commit.map { id throws(SystemError) in try GitCommit.root(id, repository) }
            let choice = try GitChoice(changes, tree, root, staged)
            if let conflict = choice.conflicts.first {
                let more = choice.conflicts.count > 1 ? ", and \(choice.conflicts.count - 1) more" : ""
                throw SystemError("choose", Bytes("\(conflict.path.shown) \(conflict.reason)\(more)"), errno: -1)
            }
            untracked = choice.untracked
            edits = try GitCommit.written(choice, source, repository)
            let wanted = edits.mapValues { $0?.entry }
            var made = try tree.edited(root, wanted)
            if made == nil { made = try repository.objects.write(.tree, []) }
            guard let made else { throw SystemError("write a tree", errno: EIO) }
            if made == root || root == nil && edits.isEmpty { throw SystemError("choose", errno: -2) }
            let body = GitCommit.text(request, tree: made, parent: repository.head.commit, run)
            let commit = try repository.objects.write(.commit, body)
            id = commit.hex
            // Last, so that nothing hostile is read while they are there.
            waiting = SignalHold()
            locks = try GitLocks(repository, staged: index)
            try locks.branch.write(Bytes(commit.hex + "\n"))
        } catch {
            throw GitCommit.refusal(error, held.path)
        }
    }

    private static func refusal(_ error: SystemError, _ workspace: Bytes) -> Failure {
        switch error.errno {
        case -1:
            Failure(
                "commit.conflict",
                "can't commit in \(workspace.shown), and nothing was applied: \(error.subject.shown)", exitCode: 1)
        case -2:
            Failure(
                "commit.nothing",
                "nothing that git tracks in \(workspace.shown) would be changed by that; nothing was applied",
                exitCode: 1)
        case EEXIST:
            Failure(
                "commit.busy",
                "can't commit in \(workspace.shown), and nothing was applied: git is at work there, or left a lock "
                    + "behind (\(error))", exitCode: 1)
        default:
            Failure(
                "commit.repository", "can't commit in \(workspace.shown), and nothing was applied: \(error)",
                errno: error.errno, exitCode: 1)
        }
    }

    // MARK: - Before

    private static func parsed(_ bytes: Bytes?, _ format: GitFormat) throws(SystemError) -> GitIndex {
        guard let bytes else { return GitIndex(format) }
        do throws(GitIndex.Defect) {
            return try GitIndex(bytes, format)
        } catch {
            if case .extended(let name) = error { throw SystemError("use an index with", Bytes(name), errno: ENOTSUP) }
            throw SystemError("read", Bytes("index"), errno: EUCLEAN)
        }
    }

    /// The tree of a commit: its first line.
    private static func root(_ commit: GitID, _ repository: GitRepository) throws(SystemError) -> GitID {
        let body = try repository.objects.read(commit, .commit)
        guard body.starts(with: Bytes("tree ")), let end = body.firstIndex(of: 0x0A),
            let id = repository.format.parse(body[5..<end])
        else { throw SystemError("read", Bytes(commit.hex), errno: EUCLEAN) }
        return id
    }

    /// The contents, which are exactly those that were reviewed.
    private static func written(
        _ choice: GitChoice, _ source: ReviewSource, _ repository: GitRepository
    ) throws(SystemError) -> [Bytes: Edit?] {
        var edits: [Bytes: Edit?] = [:]
        for path in choice.gone { edits.updateValue(nil, forKey: path) }
        for change in choice.made {
            guard let after = change.after else { continue }
            guard case .bytes(let content) = source.after(change, limit: longest) else {
                throw SystemError("read what the run left at", change.path, errno: EIO)
            }
            let mode = GitChoice.mode(after)
            edits[change.path] = Edit(
                entry: GitEntry(mode: mode, id: try repository.objects.write(.blob, content)), after: after)
        }
        return edits
    }

    private static func text(_ request: CommitRequest, tree: GitID, parent: GitID?, _ run: RunID) -> Bytes {
        var body = Bytes("tree \(tree.hex)\n")
        if let parent { body += Bytes("parent \(parent.hex)\n") }
        body += Bytes("author ") + request.author.text
        body += Bytes("\ncommitter ") + request.committer.text + Bytes("\n\n")
        return body + GitMessage.text(request.message, run: run)
    }

    // MARK: - After

    /// The changes are in the workspace. Everything that may fail comes before the branch moves.
    public func publish() throws(Failure) {
        do throws(SystemError) {
            var changes: [Bytes: (entry: GitEntry, facts: FileFacts?)?] = [:]
            for (path, edit) in edits {
                guard let edit else {
                    changes.updateValue(nil, forKey: path)
                    continue
                }
                let found = try held.tree.facts(path)
                let isOurs =
                    found?.modified == edit.after.modified
                    && found?.type == (edit.after.kind == .file ? S_IFREG : S_IFLNK)
                changes[path] = (edit.entry, isOurs ? found : nil)
            }
            staged.set(changes)
            try locks.index.write(staged.encode())
            try log()
            // Killed in between, the changes are staged; the other way round they would seem to be undone.
            try locks.index.publish()
            try locks.branch.publish()
        } catch {
            throw Failure(
                "commit.failed",
                "the changes are applied to \(held.path.shown), and couldn't be committed: \(error). "
                    + "Commit them by hand, or undo them with `aegix reset`", errno: error.errno, exitCode: 123)
        }
    }

    /// Where git keeps one.
    private func log() throws(SystemError) {
        let format = repository.format
        let old = repository.head.commit?.hex ?? String(repeating: "0", count: format.length * 2)
        let subject = request.message.drop { $0 <= 0x20 }.prefix { $0 != 0x0A && $0 != 0x0D }
        let verb = Bytes(repository.head.commit == nil ? "\tcommit (initial): " : "\tcommit: ")
        let line = Bytes("\(old) \(id) ") + request.committer.text + verb + subject + [0x0A]
        try append(line, to: Bytes("logs/HEAD"), in: repository.own)
        if let branch = repository.head.branch { try append(line, to: Bytes("logs/") + branch, in: repository.common) }
    }

    private func append(_ line: Bytes, to path: Bytes, in tree: Tree) throws(SystemError) {
        guard let facts = try tree.facts(path), facts.isFile else { return }
        let above = try tree.parent(of: path)
        let file = try Descriptor.open(
            Path.name(path), O_WRONLY | O_APPEND | O_NOFOLLOW | O_NONBLOCK, at: above.raw)
        guard try FileFacts(of: file).isFile else { return }
        try file.writeAll(line)
    }
}
