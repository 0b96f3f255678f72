// What git reads: names in quotes, object ids, binary content.

import AegixSystem
import Testing

@testable import AegixWorkspace

@Suite struct GitTextTests {
    @Test func names() {
        for (name, quoted) in [
            (Bytes("plain name/x"), "plain name/x"), (Bytes("a\"b\\c"), "\"a\\\"b\\\\c\""),
            (Bytes("t\tn\n"), "\"t\\tn\\n\""),
            ([0x61, 0xFF], "\"a\\377\""), (Bytes("é"), "\"\\303\\251\""), ([0x01, 0x7F], "\"\\001\\177\""),
        ] {
            #expect(GitText.quoted(name) == Bytes(quoted))
        }
    }

    /// As `git hash-object` says.
    @Test func blobs() {
        #expect(GitText.blob([]) == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391")
        #expect(GitText.blob(Bytes("hello\n")) == "ce013625030ba8dba906f756967f9e9ca394464a")
    }

    /// As `git diff --binary` writes an empty file.
    @Test func emptyLiteral() {
        var out = Bytes()
        GitText.literal([], into: &out)
        #expect(out == Bytes("literal 0\nHcmV?d00001\n\n"))
    }

    @Test func aFileThatBecomesALinkIsTwoPatches() {
        let identity = Entry.Identity(device: 1, inode: 1, changed: 1, links: 1)
        let file = Entry(.file, mode: 0o755, size: 1, modified: 0, identity: identity)
        let link = Entry(.symlink, mode: 0o777, size: 0, modified: 0, identity: identity)
        let fifo = Entry(.fifo, mode: 0o644, size: 0, modified: 0, identity: identity)
        let name = Bytes("x")
        let (old, new) = (Patch.Side(name, file, Bytes("a")), Patch.Side(name, link, Bytes("to")))
        #expect(Patch.make(old, new).map(\.isDeletion) == [true, false])
        #expect(Patch.make(old, old).isEmpty)
        #expect(Patch.Side(name, fifo, []) == nil)
        var out = Bytes()
        for patch in Patch.make(old, nil) { patch.write(into: &out) }
        #expect(String(decoding: out, as: UTF8.self).hasPrefix("diff --git a/x b/x\ndeleted file mode 100755\nindex "))
    }
}

@Suite struct GitInputTests {
    /// As `git check-ref-format` says.
    @Test func refs() {
        for name in [
            "refs/heads/a", "refs/heads/a/b", "refs/heads/@", "refs/heads/a./b", "refs/heads/ü", "refs/heads/a.lockx",
        ] {
            #expect(GitHead.isName(Bytes(name)), "\(name)")
        }
        for name in [
            "main", "refs/heads/", "refs//a", "/refs/a", "refs/a/", "refs/a..b", "refs/.a", "refs/a.", "refs/a.lock",
            "refs/a.lock/b",
            "refs/a b", "refs/a~", "refs/a^", "refs/a:", "refs/a?", "refs/a*", "refs/a[", "refs/a\\", "refs/a@{b",
            "refs/a\t", "refs/a\u{7F}",
        ] {
            #expect(!GitHead.isName(Bytes(name)), "\(name)")
        }
    }

    @Test func dates() {
        for (given, date) in [
            ("1700000000 +0100", "1700000000 +0100"), ("@0 -0030", "0 -0030"),
            ("9223372036854775807 +0000", "9223372036854775807 +0000"),
        ] {
            #expect(GitIdentity.date(Bytes(given)) == Bytes(date))
        }
        for given in [
            "", " ", "@", "1", "1 ", " +0000", "01 +0000", "+1 +0000", "-1 +0000", "1 +00000", "1 +0060", "1 +0a00",
            "1 *0000", "9223372036854775808 +0000",
        ] {
            #expect(GitIdentity.date(Bytes(given)) == nil, "\(given)")
        }
    }

    /// Circles, and sums before anything is made.
    @Test func budgets() throws {
        var budget = GitBudget()
        try budget.visit(12)
        try budget.visit(13)
        #expect(throws: SystemError.self) { try budget.visit(12) }
        try budget.inflate(1 << 30)
        #expect(throws: SystemError.self) { try budget.inflate(1) }
    }
}
