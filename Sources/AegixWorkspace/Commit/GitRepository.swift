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
    let head: GitHead

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
            // Git believes it before any pack's own index, so a planted one could put another content under an id.
            for name in ["pack/multi-pack-index", "pack/multi-pack-index.d"] where try place.facts(Bytes(name)) != nil {
                throw SystemError("repository", errno: -9)
            }
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
            case -9:
                "its packs have a multi-pack-index, which aegix doesn't read: git can do without, so remove it"
            case -8: "its branch can't be made beside \(error.subject.shown)"
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

    // MARK: - What is read of it

    private static func head(_ own: Tree, _ common: Tree, _ format: GitFormat) throws(SystemError) -> GitHead {
        do throws(GitHead.Defect) {
            return try GitHead(own, common, format)
        } catch {
            switch error {
            case .unreadable(let error): throw error
            case .neither: throw SystemError("repository", errno: -7)
            case .beside(let other): throw SystemError("repository", other, errno: -8)
            }
        }
    }

    /// Whether HEAD and its branch are what they were.
    func isUnmoved() throws(SystemError) -> Bool { try GitRepository.head(own, common, format) == head }

    /// What is staged, as git keeps it; nil: nothing.
    func index() throws(SystemError) -> Bytes? { try GitRepository.text("index", in: own, limit: 256 << 20) }

    // MARK: - Small files

    private static func line(_ name: String, in tree: Tree, limit: Int) throws(SystemError) -> Bytes? {
        try text(name, in: tree, limit: limit).map { Bytes($0.prefix { $0 != 0x0A && $0 != 0x0D }) }
    }

    static func line(_ path: Bytes, in tree: Tree) throws(SystemError) -> Bytes? {
        Bytes(try tree.file(path).readAll(limit: 4096).prefix { $0 != 0x0A && $0 != 0x0D })
    }

    static func text(_ name: String, in tree: Tree, limit: Int) throws(SystemError) -> Bytes? {
        guard try tree.facts(name: Bytes(name)) != nil else { return nil }
        return try tree.file(Bytes(name)).readAll(limit: limit)
    }
}
