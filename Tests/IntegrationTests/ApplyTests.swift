// `apply`, `reset RUN` and `discard`: exact, all or nothing, never over what somebody else did.

import Foundation
import Testing

extension Integration {
    @Suite struct ApplyTests {
        let ground: Ground

        init() throws { ground = try Ground() }

        private func host(_ script: String, at location: SourceLocation = #_sourceLocation) throws {
            let ended = try ground.outside("/bin/sh", "-ec", script)
            #expect(ended.code == 0, "\(ended.errorText)", sourceLocation: location)
        }

        private func layered(_ script: String, at location: SourceLocation = #_sourceLocation) throws {
            let ended = try ground.shell(script)
            #expect(ended.code == 0, "\(ended.errorText)", sourceLocation: location)
        }

        /// Type, mode, time, size, links and digest of everything; of directories no time and no size.
        private func picture() throws -> String {
            let ended = try ground.outside(
                "/bin/sh", "-c",
                """
                find . -type d -printf '%p %M\\n' -o -type f -printf '%p %M %T@ %s %n\\n' -o -printf '%p %M %l\\n' | sort
                find . -type f -print0 | sort -z | xargs -0r sha256sum; find . | getfattr -dh --absolute-names - 2>/dev/null
                """)
            return ended.text
        }

        private func aegix(_ arguments: String..., code: Int32 = 0, at location: SourceLocation = #_sourceLocation)
            throws -> Ended
        {
            let ended = try ground.run(raw: arguments.map(bytes), at: location)
            #expect(ended.code == code, "\(ended.text) \(ended.errorText)", sourceLocation: location)
            return ended
        }

        private let everything = """
            mkdir -p sub/deep dir; echo a >a; echo b >b; echo c >sub/c; echo d >sub/deep/d; ln -s a link; echo moves >mv
            echo t >turn; echo x >dir/x; echo one >one; ln one two; chmod 4755 a; touch -d 2001-02-03 b sub/c
            """
        private let edits = """
            set -e; echo new >n; echo A >>a; rm b; chmod 600 sub/c; rm -r sub/deep; mkdir -m 750 nd; echo x2 >nd/x; ln nd/x nd/y
            ln -sf b link; mv mv moved; rm turn; mkdir turn; echo in >turn/in; rm -r dir; echo file >dir
            truncate -s 16M sparse; touch -d 2011-12-13 n
            """

        @Test func everyKindThereAndBack() throws {
            try host(everything)
            let before = try picture()
            try layered(edits)
            #expect(try picture() == before)
            for _ in 0..<2 {
                _ = try aegix("apply", "last")
                let after = try picture()
                #expect(after.contains("./sub/c -rw------- 981158400"), "\(after)")
                #expect(after.contains("./nd drwxr-x---\n") && after.contains("./link lrwxrwxrwx b\n"), "\(after)")
                #expect(after.contains("./n -rw-r--r-- 1323734400"), "\(after)")
                // A setuid bit never comes out of a run, not even one that was there.
                #expect(after.contains("./a -rwxr-xr-x "), "\(after)")
                #expect(
                    !after.contains("./b ") && !after.contains("./sub/deep") && !after.contains("./mv "), "\(after)")
                #expect(after.range(of: #"\./nd/x -rw-r--r-- [0-9.]+ 3 2"#, options: .regularExpression) != nil)
                var facts = stat()
                #expect(stat("\(ground.workspace)/sparse", &facts) == 0 && facts.st_size == 16 << 20)
                #expect(facts.st_blocks < 1000, "a sparse file isn't any more")
                #expect(try aegix("apply", "last").text.contains("already applied"))
                _ = try aegix("reset", "last")
                #expect(try picture() == before)
            }
            #expect(try aegix("reset", "last").text.contains("nothing to do"))
        }

        @Test func conflictsAreToldAndNothingChanges() throws {
            try host("echo 1 >m; echo 2 >d; echo 3 >gone; mkdir dir sub; echo 4 >dir/x; echo 5 >mode; echo 6 >same")
            try layered(
                "for f in m gone same; do echo more >>$f; done; rm d; rm -r dir; chmod 600 mode; echo n >new; echo o >ok; echo s >sub/s"
            )
            try host(
                "echo theirs >>m; echo theirs >d; rm gone; echo y >dir/y; chmod 640 mode; echo k >new; echo more >>same; mv sub s2; ln -s s2 sub"
            )
            let before = try picture()
            let ended = try aegix("apply", "last", "--json", code: 1)
            let told = try Ground.document(ended)
            let paths = told["conflicts"].array.compactMap { $0["path"].string }.sorted()
            #expect(paths == ["d", "dir/y", "gone", "m", "mode", "new", "sub/s"], "\(ended.text)")
            #expect(told["status"].string == "conflict")
            #expect(try picture() == before)
            _ = try aegix("apply", "last", "--only", "ok", "--only", "same")
            #expect(ground.read("\(ground.workspace)/ok") == bytes("o\n"))
        }

        @Test func racedIsAConflict() throws {
            try host("echo a >a; echo b >b")
            var child = try ground.spawn(["--cmd", "echo mine >>a; echo mine >>b; echo up; read x"], stdin: .pipe)
            #expect(child.line() == "up")
            try host("echo theirs >>a")
            #expect(child.finish(input: bytes("go\n")).code == 0)
            #expect(
                try aegix("apply", "last", code: 1).errorText.contains(
                    "a was changed by somebody else while the run went on"))
            #expect(ground.read("\(ground.workspace)/b") == bytes("b\n"))
        }

        @Test func onlySome() throws {
            try host("mkdir -p src; echo a >src/a; echo o >old")
            try layered(
                "echo A >src/a; mkdir -p new/deep out; echo x >new/deep/x; echo y >new/y; echo p >out/o; mv old renamed"
            )
            _ = try aegix("apply", "last", "--only", "new/deep/*", "--only", "old")
            #expect(
                try ground.outside("/bin/sh", "-c", "find . -type f | sort").text
                    == "./new/deep/x\n./renamed\n./src/a\n")
            #expect(ground.read("\(ground.workspace)/src/a") == bytes("a\n"))
            _ = try aegix("reset", "last")
            #expect(try ground.outside("/bin/sh", "-c", "find . | sort").text == ".\n./old\n./src\n./src/a\n")
            #expect(try aegix("apply", "last", "--only", "/etc/*", code: 125).errorText.contains("--only"))
            #expect(try aegix("apply", "last", "--only", "nothing/**").text.contains("nothing to do"))
        }

        @Test func specialsAreLeftOut() throws {
            try layered("mkfifo f; mkdir d; mkfifo d/f; echo x >d/x; python3 -c 'import os; os.mknod(\"s\", 0o140644)'")
            let told = try Ground.document(try aegix("apply", "last", "--json"))
            #expect(told["left_out"].array.compactMap { $0["path"].string } == ["d/f", "f", "s"])
            #expect(try ground.outside("/bin/sh", "-c", "find . | sort").text == ".\n./d\n./d/x\n")
        }

        @Test func twoAtOnce() throws {
            try host("echo a >a")
            try layered("echo one >>a; for i in $(seq 300); do echo $i >one$i; done")
            let first = try #require(ground.runs.last?.split(separator: "/").last.map(String.init))
            try layered("echo two >>a; for i in $(seq 300); do echo $i >two$i; done")
            let second = try #require(ground.runs.last?.split(separator: "/").last.map(String.init))
            let children = try [first, second].map { try ground.spawn(["apply", $0]) }
            let codes = children.map { child in
                var child = child
                return child.finish().code
            }
            #expect(codes.sorted() == [0, 1])
            let names = try ground.outside("/bin/sh", "-c", "ls -A").text.split(separator: "\n")
            #expect(names.count == 301 && Set(names.map { $0.prefix(3) }).count == 2, "\(names.count)")
            ground.nothingLeft(since: Leaks.mounts())
        }

        @Test func resetConflicts() throws {
            try host("echo a >a; echo b >b")
            try layered("echo A >>a; rm b; mkdir n; echo x >n/x")
            _ = try aegix("apply", "last")
            try host("echo mine >>a; echo back >b; echo mine >n/mine")
            let before = try picture()
            let told = try Ground.document(try aegix("reset", "last", "--json", code: 1))
            #expect(told["conflicts"].array.compactMap { $0["path"].string }.sorted() == ["a", "b", "n"])
            #expect(try picture() == before)
        }

        @Test func discarded() throws {
            try layered("mkdir -p c/d; echo x >c/d/x; chmod 0 c/d; echo a >a")
            #expect(try aegix("reset", "last", code: 1).errorText.contains("aegix discard"))
            #expect(try aegix("discard", "last").text.contains("dropped"))
            #expect(try Ground.document(try aegix("discard", "last", "--json"))["discarded"].bool == false)
            #expect(try aegix("apply", "last", code: 1).errorText.contains("dropped"))
            let run = try #require(ground.runs.last)
            #expect(access("\(run)/layer", F_OK) != 0 && access("\(run)/audit.json", F_OK) == 0)
        }

        @Test func modeApply() throws {
            try host("echo a >a")
            let policy = try ground.policy("[workspace]\nmode = \"apply\"\n")
            #expect(try ground.shell("echo failed >>a; exit 3", policy).code == 3)
            #expect(ground.read("\(ground.workspace)/a") == bytes("a\n"))
            let ended = try ground.shell("echo more >>a; echo n >n", policy)
            #expect(ended.code == 0 && ended.errorText.contains("2 changes applied"), "\(ended.errorText)")
            #expect(ground.read("\(ground.workspace)/a") == bytes("a\nmore\n"))
            _ = try aegix("reset", "last")
            #expect(ground.read("\(ground.workspace)/a") == bytes("a\n") && access("\(ground.workspace)/n", F_OK) != 0)
            var child = try ground.spawn(policy + ["--cmd", "echo mine >>a; echo up; read x"], stdin: .pipe)
            #expect(child.line() == "up")
            try host("echo theirs >>a")
            let raced = child.finish(input: bytes("go\n"))
            #expect(
                raced.code == 123 && raced.errorText.contains("aren't applied: a was changed"), "\(raced.errorText)")
            #expect(ground.read("\(ground.workspace)/a") == bytes("a\ntheirs\n"))
            #expect(try aegix("--policy", "ci", "--cmd", "echo c >c").errorText.contains("1 change applied"))
        }

        /// Killed at each of its renames, then again while another command clears that up.
        @Test(.enabled(if: Ground.has("/usr/bin/strace"))) func killedAtEachRename() throws {
            try host(everything)
            let old = try picture()
            try layered(edits)
            _ = try aegix("apply", "last")
            let new = try picture()
            _ = try aegix("reset", "last")
            for verb in ["apply", "reset"] {
                var seen: Set<Bool> = []
                // The last is the journal's own move, when all is done.
                for (call, number) in (1...24).map({ ("renameat2", $0) }) + [("renameat", 1)] {
                    func killed(_ words: [String], _ call: String, _ number: Int) throws -> Ended {
                        try ground.outside(
                            [
                                "/usr/bin/strace", "-qq", "-o", "/dev/null", "-e", "trace=\(call)", "-e",
                                "inject=\(call):signal=KILL:when=\(number)", ground.aegix,
                            ] + words)
                    }
                    let first = try killed([verb, "last"], call, number)
                    if first.code != 0 {
                        #expect(first.code == 137, "\(first.errorText)")
                        _ = try killed(["history"], "renameat2", 1 + number % 4)
                        _ = try aegix("history")
                    }
                    let now = try picture()
                    #expect(now == old || now == new, "\(verb) killed at \(call) \(number):\n\(now)")
                    if first.code != 0 { seen.insert(now == new) }
                    // Back to where it began, for the next.
                    let isDone = (now == new) == (verb == "apply")
                    if isDone { _ = try aegix(verb == "apply" ? "reset" : "apply", "last") }
                }
                #expect(seen == [true, false], "killed before and after the last step")
                _ = try aegix("apply", "last")
            }
        }
    }
}
