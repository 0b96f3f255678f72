// Random trees and random edits: `git apply` of the patch makes of a clean copy what the edits make of another.

import Foundation
import Testing

extension Integration {
    @Suite struct ReviewPropertyTests {
        /// Makes a tree (`make`), or edits one, as the seed says; the same in the sandbox and out of it. No directory of the first tree is
        /// empty: git knows none and couldn't put a file in its place.
        private static let script = #"""
            import os, random, shutil, sys
            making, r = sys.argv[1] == "make", random.Random(sys.argv[1] + sys.argv[2])
            names = [b"a", b"b c", b"d\n", b"e\xff", b'f"', b"g\t", "\u00e9".encode(), b"h\\", b"-j", b" k", b"l "]

            def content():
                kind = r.randrange(6)
                if kind == 0: return b""
                if kind == 1: return bytes(r.randrange(256) for _ in range(r.randrange(300)))
                text = b"".join(b"%d%s" % (r.randrange(8), r.choice([b"\n", b"\n", b"\r\n"])) for _ in range(r.randrange(30)))
                return text[:-1] if kind == 2 else text

            def everything():
                return sorted(os.path.join(at, x) for at, ds, fs in os.walk(b".") for x in ds + fs)

            def directory(p): return os.path.isdir(p) and not os.path.islink(p)
            def file(p): return os.path.isfile(p) and not os.path.islink(p)

            def free():
                places = [b"."] + [p for p in everything() if directory(p)]
                return next((p for p in (os.path.join(r.choice(places), r.choice(names) + b"%d" % r.randrange(3)) for _ in range(20))
                             if not os.path.lexists(p)), None)

            def put(p):
                kind = r.randrange(8)
                if kind == 0: return os.symlink(r.choice(names), p)
                if kind == 1:
                    os.mkdir(p)
                    for n in range(r.randrange(1, 4)): put(os.path.join(p, b"x%d" % n))
                    return
                with open(p, "wb") as f: f.write(content())
                os.chmod(p, r.choice([0o644, 0o644, 0o755]))

            def remove(p): shutil.rmtree(p) if directory(p) else os.unlink(p)

            os.umask(0o22)
            for _ in range(20):
                there, kind, new = everything(), r.randrange(8), free()
                if making or kind < 2 or not there:
                    if new: put(new)
                    continue
                p = r.choice(there)
                if kind == 2: remove(p)
                elif kind == 3: remove(p); put(p)
                elif not file(p): continue
                elif kind == 4 and new: os.rename(p, new)
                elif kind == 5:
                    with open(p, "rb") as f: text = f.read()
                    at = r.randrange(len(text) + 1)
                    with open(p, "wb") as f: f.write(text[:at] + r.choice([b"new\n", b"x", b""]) + text[at + r.randrange(4):])
                elif kind == 6: os.chmod(p, r.choice([0o644, 0o755]))
                elif kind == 7 and new: os.link(p, new)
            """#

        private static let list = """
            import os, stat, sys
            for at, ds, fs in os.walk(b"."):
                for x in ds + fs:
                    p = os.path.join(at, x); s = os.lstat(p)
                    if stat.S_ISLNK(s.st_mode): print(p, os.readlink(p))
                    elif stat.S_ISREG(s.st_mode): print(p, bool(s.st_mode & 64), open(p, "rb").read())
            """

        @Test(arguments: 0..<24) func theSameTree(seed: Int) throws {
            let ground = try Ground()
            func outside(_ place: String, _ words: [String]) throws -> String {
                let ended = try ground.outside(
                    [
                        "/bin/sh", "-c", "cd ../\(place) && exec \"$@\"", "sh", "/usr/bin/env",
                        "GIT_CEILING_DIRECTORIES=/",
                    ] + words)
                #expect(ended.code == 0, "seed \(seed): \(ended.errorText)")
                return ended.text.split(separator: "\n").sorted().joined(separator: "\n")
            }
            let python = ["/usr/bin/python3", "-c"]
            _ = try outside("workspace", python + [ReviewPropertyTests.script, "make", "\(seed)"])
            // Copies break hard links, and so does the sandbox of a user.
            for place in ["clean", "left"] { _ = try outside(".", ["cp", "-R", "-P", "workspace", place]) }
            let edit = python + [ReviewPropertyTests.script, "edit", "\(seed)"]
            _ = try outside("left", edit)
            let run = try ground.run(raw: (["--quiet", "--"] + edit).map(bytes))
            #expect(run.code == 0, "seed \(seed): \(run.errorText)")
            let patch = try ground.run("review", "last", "--patch")
            #expect(patch.code == 0, "seed \(seed): \(patch.errorText)")
            try ground.write("\(ground.directory)/patch", patch.out)
            if !patch.out.isEmpty { _ = try outside("clean", ["git", "apply", "--whitespace=nowarn", "../patch"]) }
            let list = python + [ReviewPropertyTests.list]
            expectSame(bytes(try outside("clean", list)), bytes(try outside("left", list)), "seed \(seed)")
            #expect(try ground.run("review", "last").code == 0)
        }
    }
}
