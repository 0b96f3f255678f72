// Side effects: reads a workspace's git directory, and moves a branch of it. No git is run.

import AegixSystem
import CAegix
import Glibc

/// The repository whose work tree is the workspace. What is in it may have been made by a command: it is read as data, through
/// types that follow no link, and of its configuration only the format counts.
final class GitRepository {
    /// Of this work tree: HEAD and the index.
    let own: Tree
    /// Of all work trees: objects and refs.
    let common: Tree
    let format: GitFormat
    let objects: GitObjects
    /// Whose files made here are to be; nil: the caller's.
    let owner: (uid: uid_t, gid: gid_t)?
    let head: Head

    struct Head: Equatable {
        /// `refs/heads/main`; nil: HEAD holds a commit itself.
        var branch: Bytes?
        /// nil: nothing was ever committed.
        var commit: GitID?
    }

    init(at workspace: HeldWorkspace) throws(Failure) {
        do throws(SystemError) {
            let git = Bytes(".git")
            guard let facts = try workspace.tree.facts(name: git) else {
                throw SystemError("repository", errno: -1)
            }
            if facts.isDirectory {
                own = try workspace.tree.directory(git)
            } else if facts.isFile {
                own = try GitRepository.elsewhere(workspace)
            } else {
                throw SystemError("repository", errno: -2)
            }
            if let place = try GitRepository.line("commondir", in: own, limit: 4096) {
                // Only of a linked work tree, whose directory lies in the one of all.
                guard place == Bytes("../.."), facts.isFile else { throw SystemError("repository", errno: -3) }
                common = try GitRepository.above(own, workspace)
            } else {
                common = try own.directory([])
            }
            let made = try FileFacts(of: common.descriptor)
            owner = geteuid() == 0 && made.owner != 0 ? (made.owner, made.group) : nil
            format = try GitRepository.format(try GitRepository.text("config", in: common, limit: 1 << 20) ?? [])
            let place = try common.directory(Bytes("objects"))
            if try place.facts(Bytes("info/alternates")) != nil { throw SystemError("repository", errno: -4) }
            objects = GitObjects(place, format, owner: owner)
            for name in ["MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "BISECT_LOG", "rebase-merge", "rebase-apply"]
            where try own.facts(name: Bytes(name)) != nil { throw SystemError("repository", Bytes(name), errno: -5) }
            head = try GitRepository.head(own, common, format)
        } catch {
            throw GitRepository.refusal(error, workspace.path)
        }
    }

    private static func refusal(_ error: SystemError, _ workspace: Bytes) -> Failure {
        let reason =
            switch error.errno {
            case -1: "it isn't the top of a git work tree"
            case -2: "its .git is neither a directory nor a file"
            case -3: "its .git file leads to a git directory that doesn't lead back to it"
            case -4: "its objects lie in other repositories, too (objects/info/alternates)"
            case -5: "\(error.subject.shown) says that something is going on there; finish it first"
            case -6: "its format isn't one that aegix knows (\(error.subject.shown))"
            case -7: "its HEAD isn't a branch or a commit"
            default: "\(error)"
            }
        return Failure(
            "commit.repository", "can't commit in \(workspace.shown): \(reason). Nothing was applied.", exitCode: 1)
    }

    // MARK: - Where it is

    /// `.git` is a file: a linked work tree or a submodule. What it leads to has to lead back, or a command could choose which
    /// repository is written.
    private static func elsewhere(_ workspace: HeldWorkspace) throws(SystemError) -> Tree {
        guard let text = try line(".git", in: workspace.tree, limit: 4096), text.starts(with: Bytes("gitdir: ")) else {
            throw SystemError("repository", errno: -3)
        }
        let place = Path.normalized(Path.join(workspace.path, Bytes(text.dropFirst(8))))
        if place.contains(0) { throw SystemError("repository", errno: -3) }
        let tree = try Tree(at: place)
        if let back = try line("gitdir", in: tree, limit: 4096) {
            let whole = Path.normalized(Path.join(place, back))
            if whole == Path.join(workspace.path, Bytes(".git")) { return tree }
        } else if let config = try self.text("config", in: tree, limit: 1 << 20) {
            let named = GitConfiguration.settings(config).last {
                $0.section == Bytes("core") && $0.key == Bytes("worktree")
            }
            if let named, Path.normalized(Path.join(place, named.value)) == workspace.path { return tree }
        }
        throw SystemError("repository", errno: -3)
    }

    private static func above(_ own: Tree, _ workspace: HeldWorkspace) throws(SystemError) -> Tree {
        guard let text = try line(".git", in: workspace.tree, limit: 4096) else {
            throw SystemError("repository", errno: -3)
        }
        let place = Path.normalized(Path.join(workspace.path, Bytes(text.dropFirst(8))))
        let worktrees = Path.parent(place)
        guard Path.name(worktrees) == Bytes("worktrees") else { throw SystemError("repository", errno: -3) }
        let tree = try Tree(at: Path.parent(worktrees))
        // The same directory, by the way back down.
        let down = try FileFacts(of: try tree.directory(Bytes("worktrees")).directory(Path.name(place)).descriptor)
        guard down.inode == (try FileFacts(of: own.descriptor)).inode else {
            throw SystemError("repository", errno: -3)
        }
        return tree
    }

    /// Only what must be understood to read and write it.
    private static func format(_ config: Bytes) throws(SystemError) -> GitFormat {
        var (version, format) = (Bytes("0"), GitFormat.sha1)
        for setting in GitConfiguration.settings(config) {
            let key = setting.key
            if setting.section == Bytes("core"), key == Bytes("repositoryformatversion") { version = setting.value }
            guard setting.section == Bytes("extensions") else { continue }
            switch key.text {
            case "objectformat" where setting.value == Bytes("sha1"): format = .sha1
            case "objectformat" where setting.value == Bytes("sha256"): format = .sha256
            case "refstorage" where setting.value == Bytes("files"): break
            case "noop", "preciousobjects", "worktreeconfig", "relativeworktrees": break
            default: throw SystemError("repository", Bytes("extensions.") + key, errno: -6)
            }
        }
        if version != Bytes("0"), version != Bytes("1") { throw SystemError("repository", version, errno: -6) }
        return format
    }

    // MARK: - Refs

    private static func head(_ own: Tree, _ common: Tree, _ format: GitFormat) throws(SystemError) -> Head {
        guard let text = try line("HEAD", in: own, limit: 4096) else { throw SystemError("repository", errno: -7) }
        if let commit = format.parse(text) { return Head(branch: nil, commit: commit) }
        guard text.starts(with: Bytes("ref: ")) else { throw SystemError("repository", errno: -7) }
        let branch = Bytes(text.dropFirst(5).drop { $0 == 0x20 })
        let names = Path.components(branch)
        let isPlain = names.allSatisfy { name in
            name.first != UInt8(ascii: ".") && !name.suffix(5).elementsEqual(Bytes(".lock"))
                && name.allSatisfy { $0 > 0x20 && $0 != 0x7F }
        }
        guard branch.starts(with: Bytes("refs/heads/")), names.count > 2, isPlain,
            Path.normalized([0x2F] + branch) == [0x2F] + branch
        else { throw SystemError("repository", errno: -7) }
        return Head(branch: branch, commit: try value(of: branch, common, format))
    }

    private static func value(of branch: Bytes, _ common: Tree, _ format: GitFormat) throws(SystemError) -> GitID? {
        if let facts = try common.facts(branch), !facts.isDirectory {
            guard facts.isFile, let text = try line(branch, in: common), let id = format.parse(text) else {
                throw SystemError("repository", errno: -7)
            }
            return id
        }
        guard let packed = try text("packed-refs", in: common, limit: 256 << 20) else { return nil }
        for line in packed.split(separator: 0x0A) {
            guard line.first != UInt8(ascii: "#"), line.first != UInt8(ascii: "^") else { continue }
            let parts = line.split(separator: 0x20, maxSplits: 1)
            if parts.count == 2, parts[1].elementsEqual(branch) { return format.parse(parts[0]) }
        }
        return nil
    }

    /// As it is now.
    func currentHead() throws(SystemError) -> Head { try GitRepository.head(own, common, format) }

    // MARK: - Small files

    private static func line(_ name: String, in tree: Tree, limit: Int) throws(SystemError) -> Bytes? {
        try text(name, in: tree, limit: limit).map { Bytes($0.prefix { $0 != 0x0A && $0 != 0x0D }) }
    }

    private static func line(_ path: Bytes, in tree: Tree) throws(SystemError) -> Bytes? {
        Bytes(try tree.file(path).readAll(limit: 4096).prefix { $0 != 0x0A && $0 != 0x0D })
    }

    static func text(_ name: String, in tree: Tree, limit: Int) throws(SystemError) -> Bytes? {
        guard try tree.facts(name: Bytes(name)) != nil else { return nil }
        return try tree.file(Bytes(name)).readAll(limit: limit)
    }
}

/// `NAME.lock`, as git itself takes it: whoever makes the file may replace NAME, by renaming it. Removed unless that was done.
final class GitLock {
    private let tree: Tree
    private let name: Bytes
    private let file: Descriptor
    private var isDone = false

    /// EEXIST: git, or another aegix, is at work.
    init(_ name: Bytes, in tree: Tree, owner: (uid: uid_t, gid: gid_t)?) throws(SystemError) {
        file = try Descriptor.open(
            name + Bytes(".lock"), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o666, at: tree.raw)
        (self.tree, self.name) = (tree, name)
        if let owner, fchown(file.raw, owner.uid, owner.gid) < 0 {
            let error = SystemError.last("chown", name)
            _ = (name + Bytes(".lock")).withCString { unlinkat(tree.raw, $0, 0) }
            throw error
        }
    }

    deinit { if !isDone { _ = (name + Bytes(".lock")).withCString { unlinkat(tree.raw, $0, 0) } } }

    func write(_ bytes: Bytes) throws(SystemError) {
        if ftruncate(file.raw, 0) < 0 || lseek(file.raw, 0, SEEK_SET) < 0 { throw SystemError.last("truncate", name) }
        try file.writeAll(bytes)
        if fsync(file.raw) < 0 { throw SystemError.last("fsync", name) }
    }

    func publish() throws(SystemError) {
        try tree.replace(name, by: name + Bytes(".lock"))
        isDone = true
    }
}
