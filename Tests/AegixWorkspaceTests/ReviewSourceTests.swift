// Both sides of a change on disk: exactly what was recorded, or a reason; and a directory that moved without its files.

import AegixSystem
import Glibc
import Testing

@testable import AegixWorkspace

@Suite final class ReviewSourceTests {
    private let top: String
    private var base: String { top + "/base" }
    private var upper: String { top + "/upper" }

    init() throws {
        var template = Array("/tmp/aegix-workspace-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw SystemError.last("mkdtemp") }
        top = String(cString: made)
        for path in [base, upper] { mkdir(path, 0o755) }
    }

    deinit { ReviewSourceTests.remove(top) }

    private static func remove(_ path: String) {
        chmod(path, 0o700)
        for name in DirectoryListing.names(Bytes(path)) {
            let inner = path + "/" + String(decoding: name, as: UTF8.self)
            if unlink(inner) < 0 { remove(inner) }
        }
        rmdir(path)
    }

    private func write(_ path: String, _ text: String) throws {
        let file = try Descriptor.open(Bytes(path), O_WRONLY | O_CREAT | O_TRUNC, mode: 0o644)
        try file.writeAll(Bytes(text))
    }

    private func entry(_ path: String) throws -> Entry {
        var facts = stat()
        guard lstat(path, &facts) == 0 else { throw SystemError.last("stat", Bytes(path)) }
        var entry = Entry(FileFacts(facts))
        if entry.kind == .file {
            entry.digest = SHA256.hex(try Descriptor.open(Bytes(path), O_RDONLY).readAll(limit: 1 << 20))
        }
        return entry
    }

    private func source(_ list: ChangeList) throws -> ReviewSource {
        try ReviewSource(Layer(upper: Bytes(upper), style: .trusted), over: Bytes(base), list)
    }

    private func told(_ content: ReviewSource.Content) -> String {
        switch content {
        case .none: "none"
        case .bytes(let bytes): bytes.shown
        case .unavailable(let reason): "\(reason)"
        }
    }

    @Test func exactOrAReason() throws {
        try write(base + "/a", "old")
        try write(upper + "/a", "new")
        let change = Change(Bytes("a"), .modified, before: try entry(base + "/a"), after: try entry(upper + "/a"))
        let source = try source(ChangeList([change]))
        #expect(told(source.before(change, limit: 100)) == "old" && told(source.after(change, limit: 100)) == "new")
        #expect(told(source.before(change, limit: 2)) == "large" && !source.isStale(change))
        try write(upper + "/a", "NEW")
        try write(base + "/a", "OLD")
        #expect(
            told(source.before(change, limit: 100)) == "stale" && told(source.after(change, limit: 100)) == "altered")
        #expect(source.isStale(change))
        // The same content in another file is the same.
        unlink(base + "/a")
        try write(base + "/a", "old")
        #expect(!source.isStale(change))
        unlink(base + "/a")
        symlink("/etc/passwd", base + "/a")
        #expect(told(source.before(change, limit: 100)) == "stale" && source.isStale(change))
        unlink(upper + "/a")
        mkfifo(upper + "/a", 0o644)
        #expect(told(source.after(change, limit: 100)) == "altered")
        let new = Change(Bytes("a"), .added, before: nil, after: change.after)
        #expect(source.isStale(new), "something is there where nothing was")
    }

    @Test func theTopHasNoName() throws {
        let change = Change([], .mode, before: try entry(base), after: try entry(upper))
        #expect(try !source(ChangeList([change])).isStale(change))
    }

    @Test func neverThroughALink() throws {
        mkdir(top + "/outside", 0o755)
        try write(top + "/outside/a", "secret")
        mkdir(base + "/d", 0o755)
        try write(base + "/d/a", "secret")
        let change = Change(Bytes("d/a"), .deleted, before: try entry(base + "/d/a"), after: nil)
        ReviewSourceTests.remove(base + "/d")
        symlink(top + "/outside", base + "/d")
        #expect(told(try source(ChangeList([change])).before(change, limit: 100)) == "stale")
    }

    /// Of what root's overlay leaves of `mv old new`, with one file edited, one deleted and one that took the old place.
    @Test func directoryThatMoved() throws {
        for name in ["old", "old/in", "old/.git"] { mkdir(base + "/" + name, 0o755) }
        for name in ["old/a", "old/in/b", "old/c", "old/edited", "old/.git/config"] {
            try write(base + "/" + name, name + "\n")
        }
        mkdir(upper + "/new", 0o755)
        try write(upper + "/new/edited", "edited\nmore\n")
        try write(upper + "/old", "a file\n")
        var moved = Change(Bytes("new"), .renamed, before: try entry(base + "/old"), after: try entry(upper + "/new"))
        moved.from = Bytes("old")
        var list = ChangeList([
            moved, Change(Bytes("new/c"), .deleted, before: try entry(base + "/old/c"), after: nil),
            Change(
                Bytes("new/edited"), .modified, before: try entry(base + "/old/edited"),
                after: try entry(upper + "/new/edited")),
            Change(Bytes("old"), .added, before: nil, after: try entry(upper + "/old")),
        ])
        let layer = Layer(upper: Bytes(upper), style: .trusted)
        try Protection([], around: try LayerSurroundings(layer, over: Bytes(base))).flag(&list)
        #expect(list.changes[0].flags == [.protected], "there is a git directory in it")
        var writer = PatchWriter(list, from: try source(list))
        let patch = String(decoding: try writer.make { _ in true }, as: UTF8.self)
        for part in [
            "rename from old/a\nrename to new/a\n", "rename from old/in/b\nrename to new/in/b\n",
            "diff --git a/old/c b/old/c\ndeleted file mode 100644", "rename from old/edited\nrename to new/edited\n",
            "--- a/old/edited\n+++ b/new/edited\n@@ -1 +1,2 @@\n-old/edited\n+edited\n+more\n",
            "+++ b/old\n@@ -0,0 +1 @@\n+a file\n",
        ] {
            #expect(patch.contains(part), "\(part) in\n\(patch)")
        }
        #expect(!patch.contains(".git/config") && writer.leftOut.inGit == 1)
    }
}
