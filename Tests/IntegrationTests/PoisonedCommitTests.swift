// `apply --commit` in repositories that somebody prepared: nothing but what was reviewed is committed, and all is bounded.

import Foundation
import Testing

extension Integration.CommitTests {
    /// Makes packs, indexes and loose objects that git never would.
    private static let forge = """
        import hashlib, os, struct, sys, zlib
        def name(kind, body): return hashlib.sha1(b"%s %d\\0" % (kind, len(body)) + body).hexdigest()
        def loose(id, data):
            os.makedirs(".git/objects/" + id[:2], exist_ok=True)
            open(".git/objects/%s/%s" % (id[:2], id[2:]), "wb").write(data)
        def head(kind, size):
            out, byte, size = b"", kind << 4 | size & 15, size >> 4
            while size: out, byte, size = out + bytes([byte | 128]), size & 127, size >> 7
            return out + bytes([byte])
        def pack(title, entries):
            body, rows = b"PACK" + struct.pack(">II", 2, len(entries)), []
            for id, data in entries:
                rows.append((bytes.fromhex(id), zlib.crc32(data), len(body)))
                body += data
            body += hashlib.sha1(body).digest()
            rows.sort()
            idx = b"\\xfftOc\\0\\0\\0\\2" + b"".join(struct.pack(">I", sum(r[0][0] <= n for r in rows)) for n in range(256))
            idx += b"".join(r[0] for r in rows) + b"".join(struct.pack(">I", r[1]) for r in rows)
            idx += b"".join(struct.pack(">I", r[2]) for r in rows) + body[-20:]
            os.makedirs(".git/objects/pack", exist_ok=True)
            open(".git/objects/pack/pack-%s.pack" % title, "wb").write(body)
            open(".git/objects/pack/pack-%s.idx" % title, "wb").write(idx + hashlib.sha1(idx).digest())
        def far(id, delta): return head(7, len(delta)) + bytes.fromhex(id) + zlib.compress(delta)
        benign = name(b"blob", b"benign\\n")

        """

    private func forge(_ script: String, at location: SourceLocation = #_sourceLocation) throws {
        let ended = try ground.outside("/usr/bin/python3", "-c", Self.forge + script)
        #expect(ended.code == 0, "\(ended.errorText)", sourceLocation: location)
    }

    /// A base with one commit, and a run that leaves `benign` in `new`.
    private func prepare() throws {
        try host(history)
        try ran("echo benign >new")
    }

    @Test(arguments: [
        "loose(benign, zlib.compress(b'blob 7\\0EVIL!!\\n'))", "loose(benign, zlib.compress(b'blob 70\\0benign\\n'))",
        "loose(benign, zlib.compress(b'tree 7\\0benign\\n'))", "loose(benign, b'')", "loose(benign, b'junk')",
        "loose(benign, zlib.compress(b'blob 67108864\\0' + bytes(67108864), 1))",
    ])
    func aPlantedObjectGivesWay(_ plant: String) throws {
        try prepare()
        try forge(plant)
        try commit()
        #expect(try host("git show HEAD:new; git fsck --strict 2>&1 | grep -v dangling || true") == "benign\n")
    }

    @Test(arguments: [
        // Git would look into the pack first, so writing it loose doesn't help.
        "pack('a', [(benign, head(3, 7) + zlib.compress(b'EVIL!!\\n'))])",
        "os.makedirs('.git/objects/%s/%s' % (benign[:2], benign[2:]))",
        "os.makedirs('.git/objects/' + benign[:2], exist_ok=True); os.symlink('/dev/null', '.git/objects/%s/%s' % (benign[:2], benign[2:]))",
        "os.symlink('/tmp', '.git/objects/' + benign[:2])",
        // Round in circles through two packs, and through one.
        "other = 'ab' * 20; pack('a', [(benign, far(other, b'\\7\\7'))]); pack('b', [(other, far(benign, b'\\7\\7'))])",
        "pack('a', [(benign, far(benign, b'\\7\\7'))])",
        // Git believes this before the pack's own index, which is honest.
        """
        import subprocess
        evil = head(3, 7) + zlib.compress(b'EVIL!!\\n')
        pack('a', [(benign, evil)])
        subprocess.run(['git', 'multi-pack-index', 'write'], check=True)
        pack('a', [(name(b'blob', b'EVIL!!\\n'), evil)])
        """,
        // A base that isn't there.
        "pack('a', [(benign, far('ab' * 20, b'\\7\\7'))])",
    ])
    func aPlantedObjectIsRefused(_ plant: String) throws {
        try prepare()
        try forge(plant)
        try refused("commit.repository")
    }

    /// A chain of honest deltas is read, and what is packed isn't written again. Across packs git can't read it, either.
    @Test func deltas() throws {
        try prepare()
        let parts = """
            base = name(b"blob", b"ben")
            one = (benign, far(base, b'\\3\\7\\x90\\3\\4ign\\n')); two = (base, head(3, 3) + zlib.compress(b'ben'))

            """
        try forge(parts + "pack('a', [one]); pack('b', [two])")
        try refused("commit.repository")
        try host("git show cbd3eed8 2>/dev/null && exit 1; rm -f .git/objects/pack/pack-[ab].*")
        try forge(parts + "pack('a', [one, two])")
        try commit()
        #expect(try host("git show HEAD:new; find .git/objects -path '*/cb/d3eed8*'") == "benign\n")
        try host("git fsck --strict")
    }

    /// With little memory and in little time, and no lock is left.
    @Test(arguments: [
        // Deltas that each become 256 MiB.
        """
        bomb, size = zlib.compress(bytes(256 << 20), 1), 256 << 20
        ids = [benign] + ["%040x" % n for n in range(12)]
        pack('a', [(ids[n], head(7, size) + bytes.fromhex(ids[n + 1]) + bomb) for n in range(12)])
        """,
        // Of small deltas more than are followed.
        """
        ids = [benign] + ["%040x" % n for n in range(5000)]
        pack('a', [(ids[n], far(ids[n + 1], b'\\7\\7')) for n in range(5000)])
        """,
        // An index in which each path repeats a long one.
        """
        fixed = bytes(24) + struct.pack(">I", 0o100644) + bytes(12) + bytes.fromhex(benign) + b"\\x0f\\xff"
        body = b"DIRC" + struct.pack(">II", 4, 100001) + fixed + b"\\0" + b"a" * (1 << 20) + b"\\0" + (fixed + b"\\0b\\0") * 100000
        open(".git/index", "wb").write(body + hashlib.sha1(body).digest())
        """,
        """
        fixed = bytes(24) + struct.pack(">I", 0o100644) + bytes(12) + bytes.fromhex(benign) + b"\\x0f\\xff"
        body = b"DIRC" + struct.pack(">II", 4, 100001) + fixed + b"\\0" + b"a" * 4000 + b"\\0" + (fixed + b"\\1b\\0") * 100000
        open(".git/index", "wb").write(body + hashlib.sha1(body).digest())
        """,
    ])
    func bombs(_ plant: String) throws {
        try prepare()
        try forge(plant)
        let names = identity.map { "\($0.key)='\(String(decoding: $0.value, as: UTF8.self))'" }.joined(separator: " ")
        let ended = try ground.outside(
            "/bin/sh", "-c",
            "ulimit -v 1500000; export \(names); timeout 60 \(ground.aegix) apply last --commit x --json")
        #expect(ended.code == 1, "\(ended.text) \(ended.errorText)")
        #expect(try Ground.document(ended)["code"].string == "commit.repository", "\(ended.text)")
        #expect(try host("find .git -name '*.lock'; ls new 2>/dev/null || true") == "")
    }

    /// Left by a branch that was deeper, as git's own are.
    @Test func anEmptyDirectoryAtTheBranch() throws {
        try prepare()
        try host("git pack-refs --all; mkdir -p .git/refs/heads/main/a/b")
        try commit()
        #expect(try host("git log -1 --format=%s; git status --porcelain; git show HEAD:new") == "Change\nbenign\n")
        try host("git fsck --strict")
        try ran("echo more >>new")
        try host("git pack-refs --all; mkdir -p .git/refs/heads/main/a; git rev-parse HEAD >.git/refs/heads/main/a/x")
        try refused("commit.repository")
    }

    @Test func headsThatGitForbids() throws {
        try prepare()
        for name in [
            "a..b", "a~b", "a^b", "a:b", "a?b", "a*b", "a[b", "a\\b", "a b", "@{x", "a@{1}", "a.", "A:B", "a.lock",
            "a.lock/b",
            ".a", "a/.b", "a//b", "a/", "/a", "a/../b", "a\u{7F}",
        ] {
            try ground.write(".git/HEAD", "ref: refs/heads/\(name)\n")
            try refused("commit.repository")
        }
        for name in ["@", "a@b", "a./b", "ü", "a.locked", "x{y}"] {
            try ground.write(".git/HEAD", "ref: refs/heads/\(name)\n")
            try host("git check-ref-format 'refs/heads/\(name)'; git update-ref 'refs/heads/\(name)' main")
            try commit()
            #expect(try host("git log -1 --format=%s; git show HEAD:new") == "Change\nbenign\n", "\(name)")
            try host("echo 'ref: refs/heads/main' >.git/HEAD; git reset -q --hard; git clean -qfd")
            try ran("echo benign >new")
        }
    }

    @Test(arguments: [
        ("x/y", "git branch x"), ("x/y", "git branch x; git pack-refs --all"), ("x/y/z", "git branch x"),
        ("x", "git branch x/y"),
        ("x", "git branch x/y; git pack-refs --all"),
    ])
    func anUnbornBranchBesideAnother(_ name: String, _ others: String) throws {
        try prepare()
        try host("\(others); echo 'ref: refs/heads/\(name)' >.git/HEAD; rm .git/index")
        try refused("commit.repository")
        try host("echo 'ref: refs/heads/free/\(name)' >.git/HEAD")
        try commit()
        #expect(try host("git log --format=%s; git show --name-only --format=") == "Change\nnew\n")
    }

    @Test func datesThatGitForbids() throws {
        try prepare()
        for date in [
            "18446744073709551615 +0000", "9223372036854775808 +0000", "0123 +0000", "1700000000 ++123", "+5 +0000",
            "-5 +0000",
            "1700000000 +0060", "1700000000 0000", "1700000000  +0000", "@@1700000000 +0000", "1700000000 +000",
            "1700000000",
            "1969-01-01T00:00:00Z",
        ] {
            let ended = try commit(code: 125, env: identity.merging(["GIT_AUTHOR_DATE": Array(date.utf8)]) { $1 })
            #expect(ended.errorText.contains("GIT_AUTHOR_DATE"), "\(date): \(ended.errorText)")
        }
        #expect(try host("ls new 2>/dev/null || true") == "")
        let dates = ["GIT_AUTHOR_DATE": bytes("@0 -0330"), "GIT_COMMITTER_DATE": bytes("4000000000 +1400")]
        try commit(env: identity.merging(dates) { $1 })
        #expect(try host("git log -1 --date=raw --format=%ad,%cd; git fsck --strict") == "0 -0330,4000000000 +1400\n")
    }
}
