// `changes[]`: exact for what a command can do to a workspace.

import Foundation
import Testing

extension Integration {
    @Suite struct ChangesTests {
        let ground: Ground

        init() throws { ground = try Ground() }

        /// What lies in the workspace before the run.
        private func prepare(_ script: String) throws {
            let ended = try ground.outside("/bin/sh", "-ec", script)
            #expect(ended.code == 0, "\(ended.errorText)")
        }

        /// `path kind from link_of flags`, a line a change.
        private func changes() throws -> [String] {
            let listed = try ground.record()["changes"]
            #expect(listed.isList, "there is no list at all")
            return listed.array.map { change in
                func text(_ name: String) -> String { change[name].string ?? "-" }
                let flags = change["flags"].array.compactMap(\.string).joined(separator: "+")
                return "\(text("path")) \(text("kind")) \(text("from")) \(text("link_of")) \(flags)"
                    .trimmingCharacters(in: .whitespaces)
            }
        }

        private func layered(_ script: String) throws -> Ended { try ground.shell(script) }

        private func layered(_ backing: String, _ script: String) throws -> Ended {
            try ground.shell(script, try ground.policy("[workspace]\nbacking = \"\(backing)\"\n"))
        }

        @Test(arguments: ["overlay", "copy"]) func everyKind(backing: String) throws {
            try prepare(
                """
                mkdir -p sub/deep; echo a >a; echo b >b; echo c >sub/c; echo d >sub/deep/d; ln -s a link; echo moves >mv
                echo t >turn; mkdir dir; echo x >dir/x
                """)
            let ended = try layered(
                backing,
                """
                set -e; echo new >n; echo A >>a; rm b; chmod 600 sub/c; rm -r sub/deep; mkdir nd; echo x2 >nd/x; ln nd/x nd/y
                ln -sf b link; mv mv moved; mkfifo f; rm turn; mkdir turn; echo in >turn/in; rm -r dir; echo file >dir
                """)
            #expect(ended.code == 0, "\(ended.errorText)")
            #expect(
                try changes() == [
                    "a modified - -", "b deleted - -", "dir modified - -", "dir/x deleted - -", "f added - - special",
                    "link symlink - -", "moved renamed mv -", "n added - -", "nd added - -", "nd/x added - -",
                    "nd/y added - nd/x", "sub/c mode - -", "sub/deep deleted - -", "sub/deep/d deleted - -",
                    "turn modified - -", "turn/in added - -",
                ])
            let first = try #require(try ground.record()["changes"].array.first)
            #expect(first["before"]["size"].int == 2 && first["after"]["size"].int == 4)
            // printf 'a\nA\n' | sha256sum
            let digest = "2fa9938a05497ce89297338ea11764cf46defe36d7d7bae32f964ac843e31cc1"
            #expect(first["after"]["sha256"].string == digest)
        }

        @Test(arguments: ["overlay", "copy"]) func nothingChanged(backing: String) throws {
            try prepare("echo a >a; mkdir d; ln a l; truncate -s 1G sparse")
            let ended = try layered(
                backing,
                "python3 -c 'open(\"a\",\"r+\").close()'; chmod 755 d; mv a a2; mv a2 a; rmdir d; mkdir d")
            #expect(ended.code == 0, "\(ended.errorText)")
            #expect(try changes() == [])
        }

        @Test func oddNames() throws {
            let ended = try layered(
                "printf x >\"$(printf 'a\\377b')\"; printf x >\"$(printf 'n\\nl')\"; printf x >\"$(printf '\\033[31m')\""
            )
            #expect(ended.code == 0, "\(ended.errorText)")
            let paths = try ground.record()["changes"].array.map { $0["path"].bytes }
            #expect(paths == [bytes("\u{1B}[31m"), [0x61, 0xFF, 0x62], bytes("n\nl")])
        }

        /// Root's overlay carries what a user's can't, and says so.
        @Test func hardLinks() throws {
            try prepare("mkdir d; echo a >a; ln a d/b")
            #expect(try layered("echo more >>a; cat d/b").text == (geteuid() == 0 ? "a\nmore\n" : "a\n"))
            #expect(
                try changes()
                    == (geteuid() == 0 ? ["a modified - -", "d/b modified - a"] : ["a modified - - unlinked"]))
        }

        @Test func renamedDirectory() throws {
            try prepare("mkdir -p d/in; echo a >d/a; echo b >d/in/b; echo c >d/c")
            let script = "import os; os.rename('d', 'e'); os.remove('e/a'); open('e/new', 'w').write('x')"
            let ended = try ground.run("--", "/usr/bin/python3", "-c", script)
            if geteuid() != 0 {
                #expect(ended.code == 1 && ended.errorText.contains("Invalid cross-device link"))
                #expect(try changes() == [])
                return
            }
            #expect(ended.code == 0, "\(ended.errorText)")
            #expect(
                try changes() == [
                    "d deleted - -", "d/a deleted - -", "d/in deleted - -", "e added - -", "e/c renamed d/c -",
                    "e/in added - -", "e/in/b renamed d/in/b -", "e/new added - -",
                ])
            try prepare("test -f d/a && test ! -e e")
        }

        /// The old place is taken by something new; a directory within moves on its own.
        @Test(.enabled(if: geteuid() == 0)) func directoriesChangePlaces() throws {
            try prepare("mkdir -p a/x b; echo 1 >a/1; echo 2 >b/2; echo 3 >a/x/3")
            let script =
                "import os; os.rename('a', 't'); os.rename('b', 'a'); os.rename('t', 'b'); os.rename('b/x', 'x')"
            #expect(try ground.run("--", "/usr/bin/python3", "-c", script).code == 0)
            let told = try changes()
            #expect(
                told == [
                    "a/2 renamed b/2 -", "a/x deleted - -", "b/1 renamed a/1 -", "x added - -", "x/3 renamed a/x/3 -",
                ], "\(told)")
        }

        /// A copy is exact: what an overlay of a user's can't carry, it does.
        @Test func copiesAreExact() throws {
            try prepare(
                "echo a >a; ln a b; mkdir -p d/in; echo c >d/c; printf x >d/in/x; echo secret >.env; chmod 400 d/c; echo o >o; ln o o2"
            )
            let script = """
                set -e; echo more >>a; test "$(cat b)" = "$(cat a)"; python3 -c 'import os; os.rename("d", "e")'
                ln o o3; mkfifo f; test ! -s .env; mkdir -m 000 closed
                """
            let policy = try ground.policy("[workspace]\nbacking = \"copy\"\n[files]\ndeny = [\".env\"]\n")
            let ended = try ground.shell(script, policy)
            #expect(ended.code == 0, "\(ended.errorText)")
            let told = try changes()
            #expect(
                told == [
                    "a modified - -", "b modified - a", "closed added - -", "d deleted - -", "d/in deleted - -",
                    "e added - -", "e/c renamed d/c -", "e/in added - -", "e/in/x renamed d/in/x -",
                    "f added - - special", "o3 added - o",
                ], "\(told)")
            let run = try #require(ground.runs.last)
            #expect(access("\(run)/copy", F_OK) != 0, "the copy is still there")
        }

        @Test func anInterruptedCopyIsCleared() throws {
            try prepare("echo a >a")
            let policy = try ground.policy("[workspace]\nbacking = \"copy\"\n")
            var child = try ground.spawn(policy + ["--cmd", "echo up; exec sleep 60"])
            #expect(child.line() == "up")
            let run = try #require(ground.runs.last)
            #expect(access("\(run)/copy/workspace/a", F_OK) == 0)
            kill(child.pid, SIGKILL)
            _ = child.finish()
            while waitpid(-1, nil, 0) > 0 {}  // the sandbox dies with its aegix, and is ours to reap
            try ground.run("reset", "--all")
            #expect(access("\(run)/copy", F_OK) != 0)
            #expect(try ground.record()["outcome"]["status"].string == "interrupted")
            // What it changed isn't known, and can be dropped all the same.
            let id = try #require(run.split(separator: "/").last.map(String.init))
            #expect(try ground.run("apply", id).code == 125)
            #expect(try ground.run("discard", id).code == 0)
        }

        @Test func aCopyThatIsTooLargeLeavesNothing() throws {
            try prepare("truncate -s 1 a; d=.; for i in $(seq 300); do d=$d/d; done; mkdir -p $d")
            let ended = try layered("copy", "true")
            #expect(ended.code == 125 && ended.errorText.contains("too large to be copied"), "\(ended.errorText)")
            let run = try #require(ground.runs.last)
            #expect(access("\(run)/copy", F_OK) != 0, "half a copy is still there")
        }

        @Test func inPlace() throws {
            try prepare(
                """
                mkdir -p d e/f .git/hooks; echo a >a; echo b >b; ln b b2; echo x >d/x; echo y >e/f/y; ln -s a l; echo t >t; echo u >u
                echo same >same; echo m >m; truncate -s 20000000 big; echo '{"scripts":{}}' >package.json
                """)
            let direct = try ground.policy("[workspace]\nmode = \"direct\"\n")
            let idle = try ground.shell("cat a b >/dev/null; ls -R >/dev/null", direct)
            #expect(idle.code == 0 && idle.errorText.isEmpty && ground.read("\(ground.workspace)/a") == bytes("a\n"))
            #expect(try changes() == [])
            let quiet = try ground.shell("echo aa >a", direct)
            #expect(quiet.errorText.isEmpty, "nothing waits: \(quiet.errorText)")
            #expect(try changes() == ["a modified - -"])
            let ended = try ground.shell(
                """
                set -e; echo c >>b; mv d g; rm l; ln -s b l; chmod 600 m; rm -r e; touch e; rm u; mkdir u; echo n >n; ln n n2
                echo x >.git/hooks/pre-commit; touch -r t same; echo same >same; touch -r t t; printf x | dd of=big conv=notrunc 2>/dev/null
                echo '{"scripts":{} }' >package.json
                """, direct)
            #expect(ended.code == 0 && ended.errorText.contains("aegix review"), "\(ended.errorText)")
            #expect(
                try changes() == [
                    ".git/hooks/pre-commit added - - protected", "b modified - - linked", "b2 modified - b linked",
                    "big modified - - undigested", "d deleted - -", "e modified - -", "e/f deleted - -",
                    "e/f/y deleted - -", "g added - -", "g/x renamed d/x -", "l symlink - -", "m mode - -",
                    "n added - -", "n2 added - n", "package.json modified - -", "same mode - -", "u modified - -",
                ])
            try prepare("mkdir -p z; echo was >z/file; echo gitdir >z/.git")
            #expect(
                try ground.shell(
                    "rm z/file z/.git; mkdir -p z/file/.git/hooks z/.git; echo x >z/file/.envrc; echo x >z/.git/config",
                    direct
                ).code == 0)
            #expect(
                try changes() == [
                    "z/.git modified - - protected", "z/.git/config added - - protected", "z/file modified - -",
                    "z/file/.envrc added - - executes", "z/file/.git added - - protected",
                    "z/file/.git/hooks added - - protected",
                ])
            let review = try ground.run("review", "last")
            #expect(review.code == 0 && review.text.contains("look at these first"), "\(review.errorText)")
            #expect(review.text.contains("written in place"))
            #expect(try ground.run("apply", "last").code == 1)
            #expect(try ground.run("reset", "last").code != 0)
            #expect(try ground.run("review", "--patch", "last").errorText.contains("in place"))
        }

        @Test func racedByTheHost() throws {
            try prepare("echo a >a; echo b >b")
            var child = try ground.spawn(["--cmd", "echo mine >>a; echo mine >>b; echo up; read x"], stdin: .pipe)
            #expect(child.line() == "up")
            try prepare("echo theirs >>a")
            let ended = child.finish(input: bytes("go\n"))
            #expect(ended.code == 0, "\(ended.errorText)")
            #expect(try changes() == ["a modified - - raced", "b modified - -"])
        }

        /// Longer than the kernel takes a path at once: one such must not hide everything else.
        @Test(arguments: ["overlay", "copy"]) func aPathBeyondPathMax(backing: String) throws {
            try prepare("echo a >a")
            let ended = try layered(
                backing,
                """
                echo A >>a; exec python3 -c 'import os
                os.mkdir("deep"); os.chdir("deep")
                for i in range(30): os.mkdir("d" * 200); os.chdir("d" * 200)
                open("f", "w").write("x")'
                """)
            #expect(ended.code == 0, "\(ended.errorText)")
            let paths = try ground.record()["changes"].array.compactMap { $0["path"].string }
            #expect(paths.first == "a" && paths.count == 33)
            #expect(paths.last?.utf8.count == 6036 && paths.last?.hasSuffix("/f") == true)
            let review = try ground.run("review", "last", "--patch")
            #expect(review.code == 0, "\(review.errorText.prefix(300))")
            let applied = try ground.run("apply", "last")
            #expect(applied.code == 0, "\(applied.errorText.prefix(300))")
            #expect(ground.read("\(ground.workspace)/a") == bytes("a\nA\n"))
            let walk = "import os; os.chdir('deep'); [os.chdir('d' * 200) for _ in range(30)]; print(open('f').read())"
            #expect(try ground.outside("/usr/bin/python3", "-c", walk).text == "x\n")
            // Foundation can't remove such a thing.
            _ = try ground.outside("/bin/rm", "-r", "deep")
            #expect(try ground.run("prune", "--keep", "0", "--unreviewed").code == 0)
        }

        /// What is in a large directory that root's overlay renames isn't in the list.
        @Test(.enabled(if: geteuid() == 0)) func aLargeDirectoryMovedToADeniedPath() throws {
            try prepare("mkdir big; cd big; seq 1 20100 | sed 's/^/f/' | xargs touch; touch k.pem")
            func moved(_ place: String, _ deny: String) throws -> [String] {
                let policy = try ground.policy("[files]\ndeny = [\"\(deny)\"]\n")
                let ended = try ground.shell(
                    "mkdir vault; exec python3 -c 'import os; os.rename(\"big\", \"\(place)\")'", policy)
                #expect(ended.code == 0, "\(ended.errorText)")
                return try changes().filter { $0.contains(place) }
            }
            try prepare("rm big/k.pem")
            // Nothing else: its files weren't deleted.
            #expect(try moved("vault/big", "vault/**") == ["vault/big renamed big - denied+protected"])
            #expect(try moved("other", "elsewhere/**") == ["other renamed big - protected"])
            #expect(try moved("other", "other/f7") == ["other renamed big - denied+protected"])
            #expect(try moved("other", "**/*.pem") == ["other renamed big - denied+protected"])
        }

        @Test func beyondTheDepthIsSaid() throws {
            let ended = try ground.shell(
                "exec python3 -c 'import os\nfor i in range(300): os.mkdir(\"d\"); os.chdir(\"d\")'")
            #expect(ended.code == 0, "\(ended.errorText)")
            let record = try ground.record()
            #expect(record["changes"].array.last?["flags"].array.compactMap(\.string) == ["deeper"])
            #expect(record["cut"]["changes"]["kept"].int == record["changes"].array.count)
            #expect(record["cut"]["changes"]["of"].value == nil)
            #expect(try ground.run("apply", "last").code != 0)
        }
    }
}
