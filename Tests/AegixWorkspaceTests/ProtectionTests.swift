// Which changes are flagged: what the host's programs obey or run, by whatever name and way it comes.

import AegixSystem
import Testing

@testable import AegixWorkspace

@Suite struct ProtectionTests {
    /// A workspace in memory: paths with their texts; a path that ends in a slash is a directory.
    private final class Memory: Surroundings {
        let workspace = Bytes("/home/w")
        var base: [String: String] = [:]
        var layer: [String: String] = [:]

        func kind(_ path: Bytes) -> Entry.Kind? {
            let text = path.text ?? ""
            if base[text] != nil { return .file }
            return base.keys.contains { $0.hasPrefix(text + "/") } ? .directory : nil
        }
        func beneath(_ directory: Bytes) -> [(path: Bytes, kind: Entry.Kind)]? {
            let head = (directory.text ?? "") + "/"
            return base.keys.filter { $0.hasPrefix(head) }.map { (Bytes(String($0.dropFirst(head.count))), .file) }
        }
        func before(_ path: Bytes) -> Bytes? { base[path.text ?? ""].map { Bytes($0) } }
        func after(_ path: Bytes) -> Bytes? { layer[path.text ?? ""].map { Bytes($0) } }
    }

    private static func entry(_ kind: Entry.Kind, mode: UInt32 = 0o644) -> Entry {
        Entry(kind, mode: mode, size: 1, modified: 0, identity: .init(device: 1, inode: 1, changed: 1, links: 1))
    }

    private static func new(_ path: String, _ kind: Entry.Kind = .file) -> Change {
        Change(Bytes(path), kind == .symlink ? .symlink : .added, before: nil, after: entry(kind))
    }

    private static func edited(_ path: String) -> Change {
        Change(Bytes(path), .modified, before: entry(.file), after: entry(.file))
    }

    private static func gone(_ path: String, _ kind: Entry.Kind = .file) -> Change {
        Change(Bytes(path), .deleted, before: entry(kind), after: nil)
    }

    private static func renamed(_ from: String, _ to: String, _ kind: Entry.Kind = .file) -> Change {
        var change = Change(Bytes(to), .renamed, before: entry(kind), after: entry(kind))
        change.from = Bytes(from)
        return change
    }

    /// `path` or `path protected` or …, of each change.
    private func flags(
        _ changes: [Change], base: [String: String] = [:], layer: [String: String] = [:],
        protect: [String] = [".git/hooks", ".git/config", ".envrc", "aegix.toml"]
    ) throws -> [String] {
        let memory = Memory()
        (memory.base, memory.layer) = (base, layer)
        var list = ChangeList(changes)
        try Protection(protect, around: memory).flag(&list)
        return list.changes.map { change in
            change.flags.map(\.rawValue).sorted().joined(separator: "+")
        }
    }

    private func flag(_ change: Change, base: [String: String] = [:], layer: [String: String] = [:]) throws -> String {
        try flags([change], base: base, layer: layer)[0]
    }

    @Test(arguments: [
        ".git/config", ".git/hooks/pre-commit", ".git/hooks", ".git/info/attributes", ".git/commondir", ".git/gitdir",
        ".git/config.worktree", "deep/er/.git/config", ".git/modules/sub/config", ".git/modules/sub/hooks/x", ".git",
        "sub/.git", ".gitmodules", "sub/.gitmodules", ".git/worktrees/w/config.worktree",
        ".git/objects/info/alternates",
        ".GIT/config", ".Git/HOOKS/x", "git~1/config", ".git /config", ".git./config", ".git::$INDEX_ALLOCATION/config",
        ".g\u{200C}it/config", ".gIT\u{FEFF}/hooks/x", "sub/GIT~1/hoo\u{212A}s/x", "GITMOD~1", "aegix.toml",
        "AEGIX.TOML",
    ]) func protected(path: String) throws {
        for change in [ProtectionTests.new(path), ProtectionTests.edited(path), ProtectionTests.gone(path)] {
            #expect(try flag(change).contains("protected"), "\(path) \(change.kind)")
        }
        #expect(try flag(ProtectionTests.renamed(path, "harmless")).contains("protected"), "from \(path)")
        #expect(try flag(ProtectionTests.renamed("harmless", path)).contains("protected"), "to \(path)")
        var link = ProtectionTests.new("harmless")
        link.linkOf = Bytes(path)
        #expect(try flag(link).contains("protected"), "a link of \(path)")
    }

    @Test(arguments: [
        "src/main.c", ".git/index", ".git/HEAD", ".git/objects/ab/cdef", ".git/refs/heads/hooks",
        ".git/logs/refs/heads/config",
        ".git/COMMIT_EDITMSG", "config", "hooks/x", "src/config", "gitconfig", ".gitignore", "x.git/file",
        "info/attributes",
        "README.md", "HEAD", "refs/x", "lib/objects/x", "src/aegix.toml",
    ]) func notProtected(path: String) throws {
        for change in [ProtectionTests.new(path), ProtectionTests.edited(path), ProtectionTests.gone(path)] {
            #expect(try flag(change) == "", "\(path) \(change.kind)")
        }
    }

    @Test(arguments: [
        ".envrc", "sub/.envrc", ".ENVRC", ".vscode/tasks.json", ".vscode/settings.json", "sub/.idea/x.xml",
        ".husky/pre-commit",
        ".pre-commit-config.yaml", ".github/workflows/ci.yml", ".gitlab-ci.yml", ".npmrc", ".cargo/config.toml",
        ".gdbinit",
        "lib/evil.pth", "x.code-workspace", ".devcontainer/devcontainer.json", ".git/rebase-merge/git-rebase-todo",
        "VSCODE~1/tasks.json",
    ]) func executes(path: String) throws {
        for change in [ProtectionTests.new(path), ProtectionTests.edited(path), ProtectionTests.renamed("x", path)] {
            #expect(try flag(change).contains("executes"), "\(path) \(change.kind)")
        }
        #expect(try !flag(ProtectionTests.gone(path)).contains("executes"), "\(path)")
        var touched = ProtectionTests.edited(path)
        touched.kind = .mode
        #expect(try !flag(touched).contains("executes"), "\(path) touched")
    }

    @Test(arguments: [
        "Makefile", "GNUmakefile", "sub/makefile", "setup.py", "conftest.py", "pyproject.toml", "tox.ini", "Dockerfile",
    ]) func executesWhenNew(path: String) throws {
        #expect(try flag(ProtectionTests.new(path)) == "executes")
        #expect(try flag(ProtectionTests.renamed("x", path)) == "executes")
        #expect(try flag(ProtectionTests.edited(path)) == "")
    }

    @Test func contentsDecide() throws {
        let name = "package.json"
        let one = "{\"name\":\"a\",\"scripts\":{\"postinstall\":\"x\"}}"
        #expect(try flag(ProtectionTests.new(name), layer: [name: "{}"]) == "executes")
        #expect(
            try flag(
                ProtectionTests.edited(name), base: [name: one], layer: [name: one.replacing("\"a\"", with: "\"b\"")])
                == "")
        #expect(
            try flag(ProtectionTests.edited(name), base: [name: one], layer: [name: one.replacing("x", with: "y")])
                == "executes")
        #expect(try flag(ProtectionTests.edited(name), base: [name: one], layer: [name: "{"]) == "executes", "no JSON")
        #expect(try flag(ProtectionTests.edited(name), base: [name: one]) == "executes", "unreadable")
        let attributes = "sub/.gitattributes"
        #expect(try flag(ProtectionTests.new(attributes), layer: [attributes: "*.c text\n"]) == "")
        #expect(try flag(ProtectionTests.new(attributes), layer: [attributes: "* filter=evil\n"]) == "executes")
        #expect(try flag(ProtectionTests.new(attributes)) == "executes", "unreadable")
    }

    @Test func gainedBit() throws {
        var change = ProtectionTests.edited("tool")
        change.kind = .mode
        change.after?.mode = 0o755
        #expect(try flag(change) == "executes")
        #expect(
            try flag(Change(Bytes("new"), .added, before: nil, after: ProtectionTests.entry(.file, mode: 0o755))) == "")
    }

    @Test func plantedRepository() throws {
        let directories = ["x/objects", "x/refs"].map { ProtectionTests.new($0, .directory) }
        let planted = directories + ["x/HEAD", "x/config", "x/other"].map { ProtectionTests.new($0) }
        #expect(try flags(planted) == Array(repeating: "protected", count: 5))
        // Half of it was there.
        let half = ["x/objects/a": "", "x/refs/b": ""]
        #expect(try flags([ProtectionTests.new("x/HEAD")], base: half) == ["protected"])
        #expect(try flags([ProtectionTests.new("x/head")], base: ["x/HEAD": "", "x/objects/a": ""]) == [""])
        // One that was there is used, and its configuration watched.
        let whole = half.merging(["x/HEAD": ""]) { $1 }
        let used = ["x/config", "x/objects/c", "x/refs/heads/hooks", "x/hooks/y"].map { ProtectionTests.new($0) }
        #expect(try flags(used, base: whole) == ["protected", "", "", "protected"])
        // The workspace's own top.
        let top = ["HEAD": "", "objects/a": "", "refs/b": ""]
        #expect(
            try flags([ProtectionTests.edited("config"), ProtectionTests.edited("x")], base: top) == ["protected", ""])
        // A worktree's directory, with what it shares elsewhere.
        #expect(try flags(["w/HEAD", "w/commondir"].map { ProtectionTests.new($0) }) == ["protected", "protected"])
    }

    @Test func nestedRepositoryIsTakenWhole() throws {
        let changes =
            [ProtectionTests.new("n/.git", .directory)]
            + ["n/.git/HEAD", "n/.git/objects/a", "n/x"].map { ProtectionTests.new($0) }
        #expect(try flags(changes) == ["protected", "protected", "protected", ""])
    }

    @Test func linksInTheWay() throws {
        #expect(try flag(ProtectionTests.new(".git", .symlink)) == "protected")
        #expect(try flag(ProtectionTests.new(".git/info", .symlink)) == "protected")
        #expect(try flag(ProtectionTests.new(".vscode", .symlink)) == "executes")
        #expect(try flag(ProtectionTests.new(".github", .symlink)) == "executes")
        #expect(try flags([ProtectionTests.new("a", .symlink)], protect: ["a/b/secret"]) == ["protected"])
        #expect(try flags([ProtectionTests.new("a", .symlink)], protect: ["b/secret"]) == [""])
    }

    @Test func hardLinks() throws {
        var other = ProtectionTests.new("other")
        other.linkOf = Bytes(".envrc")
        #expect(try flags([ProtectionTests.new(".envrc"), other]) == ["executes+protected", "executes+protected"])
        // The leader is harmless by its name, a follower isn't.
        var follower = ProtectionTests.new("sub/.git/config")
        follower.linkOf = Bytes("a")
        #expect(try flags([ProtectionTests.new("a"), follower]) == ["protected", "protected"])
    }

    @Test func whatGitsConfigurationNames() throws {
        let config = """
            # hooksPath = not/this
            [core]
            \thooksPath = "scripts/git hooks" ; a comment
            \tfsmonitor = ./tools/watch --fast
            \tattributesFile = /home/w/attrs
            [Include] path = ../.gitconfig
            [diff "x"]
            \ttextconv = python3 \\
            tools/show.py
            [remote "origin"]
            \tfetch = +refs/heads/*:refs/remotes/origin/*
            [core]
            \texcludesFile = ignored
            \tworktree = ../elsewhere
            """
        let base = [
            ".git/config": config, ".gitconfig": "[alias]\n\tx = !sh bin/alias.sh\n",
            "m/.git": "gitdir: ../.git/modules/m\n",
            ".git/modules/m/config": "[core]\nhookspath=hk\n",
        ]
        for path in [
            "scripts/git hooks/pre-commit", "tools/watch", "attrs", ".gitconfig", "tools/show.py", "bin/alias.sh",
            "TOOLS/Watch",
            "m/hk/x", "scripts/git hooks",
        ] {
            #expect(try flag(ProtectionTests.new(path), base: base) == "protected", "\(path)")
            #expect(try flag(ProtectionTests.new(path)) == "", "\(path)")
        }
        let bare = [
            ".git/config": "[alias]\nb = build\ny = !sh here.sh\n[credential]\nhelper = cache\n", "here.sh": "",
        ]
        #expect(try flag(ProtectionTests.edited("here.sh"), base: bare) == "protected")
        for path in ["build", "cache/x", "sh"] { #expect(try flag(ProtectionTests.new(path), base: bare) == "") }
        for path in ["scripts/other", "not/this", "ignored", "elsewhere", "src/x", "hk/x"] {
            #expect(try flag(ProtectionTests.new(path), base: base) == "", "\(path)")
        }
        #expect(try flag(ProtectionTests.new("scripts", .symlink), base: base) == "protected")
    }

    @Test func directoriesThatMove() throws {
        let base = ["old/.git/config": "", "old/x": "", "plain/x": "", "ide/.vscode/tasks.json": "{}"]
        #expect(try flag(ProtectionTests.renamed("old", "new", .directory), base: base) == "protected")
        #expect(try flag(ProtectionTests.renamed("plain", "new", .directory), base: base) == "")
        #expect(try flag(ProtectionTests.renamed("ide", "new", .directory), base: base) == "executes")
        #expect(try flag(ProtectionTests.renamed("plain", ".git", .directory), base: base) == "protected")
        let shape = ["r/objects/a": "", "r/refs/b": "", "r/HEAD": ""]
        let moved = [ProtectionTests.renamed("r", "q", .directory), ProtectionTests.new("q/config")]
        #expect(try flags(moved, base: shape)[1] == "protected")
    }

    @Test func whatGoesWithAProtectedOne() throws {
        let gone = [
            ProtectionTests.gone("sub", .directory), ProtectionTests.gone("sub/.git", .directory),
            ProtectionTests.gone("sub/.git/config"),
        ]
        #expect(try flags(gone) == ["protected", "protected", "protected"])
        let replaced = Change(
            Bytes("d"), .symlink, before: ProtectionTests.entry(.directory), after: ProtectionTests.entry(.symlink))
        #expect(try flags([replaced, ProtectionTests.gone("d/.gitmodules")]) == ["protected", "protected"])
    }

    @Test func patterns() throws {
        let protect = ["secrets/*.key", "**/lock", "conf"]
        for (path, expected) in [
            ("secrets/a.key", "protected"), ("SECRETS/A.KEY", "protected"), ("secrets/a.txt", ""),
            ("a/b/lock", "protected"),
            ("lock", "protected"), ("conf", "protected"), ("conf/x/y", "protected"), ("config", ""),
        ] {
            #expect(try flags([ProtectionTests.new(path)], protect: protect) == [expected], "\(path)")
        }
    }
}
