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
