// `prune`: what goes, what never does, and that a kill at any moment leaves whole runs or none. And runs that were killed.

import Foundation
import Testing

extension Integration {
    @Suite struct PruneTests {
        let ground: Ground

        init() throws { ground = try Ground() }

        private func aegix(_ arguments: String..., code: Int32 = 0, at location: SourceLocation = #_sourceLocation)
            throws -> Ended
        {
            let ended = try ground.run(raw: arguments.map(bytes), at: location)
            #expect(ended.code == code, "\(ended.text) \(ended.errorText)", sourceLocation: location)
            return ended
        }

        /// The id of a new run.
        private func ran(_ script: String, _ options: String...) throws -> String {
            let before = Set(ground.runs)
            let ended = try ground.shell(script, options)
            #expect(ended.code == 0, "\(ended.errorText)")
            let made = try #require(ground.runs.first { !before.contains($0) })
            return try #require(made.split(separator: "/").last.map(String.init))
        }

        private var left: [String] { ground.runs.compactMap { $0.split(separator: "/").last.map(String.init) } }

        private func ledger() throws -> [JSON] {
            try #require(ground.read("\(ground.state)/ledger.jsonl")).split(separator: 10).map { try JSON(Bytes($0)) }
        }

        private func standings(_ list: JSON) -> [String: String] {
            Dictionary(
                uniqueKeysWithValues: list.array.map { ($0["run_id"].string ?? "", $0["standing"].string ?? "") })
        }

        @Test func whatGoesAndWhatStays() throws {
            try ground.write("a", "a\n")
            let idle = try ran("true")
            let applied = try ran("echo 1 >>a; mkdir d; echo x >d/x; ln d/x d/y; rm -f none; chmod 600 a")
            _ = try aegix("apply", applied)
            let discarded = try ran("echo 2 >b")
            _ = try aegix("discard", discarded)
            let waiting = try ran("echo 3 >c")
            let part = try ran("echo 4 >e; echo 5 >f")
            _ = try aegix("apply", part, "--only", "e")
            let undone = try ran("echo 6 >g")
            _ = try aegix("apply", undone)
            _ = try aegix("reset", undone)
            let old = try ran("echo 7 >h", "--name", "box")
            let newest = try ran("echo 8 >i", "--name", "box")
            let all = left
            for words in [["--dry-run"], ["--unreviewed", "--dry-run"]] {
                let said = try Ground.document(
                    ground.run(raw: (["prune", "--keep", "0", "--json"] + words).map(bytes)))
                #expect(said["dry_run"].bool == true && left == all)
                #expect(said["removed"].array.count == (words.count == 1 ? 4 : 7))
            }
            let done = try Ground.document(try aegix("prune", "--keep", "0", "--json"))
            #expect(
                standings(done["removed"]) == [idle: "done", applied: "applied", discarded: "done", old: "done"])
            #expect(
                standings(done["stays"]) == [
                    waiting: "waiting", part: "waiting", undone: "waiting", newest: "sandbox",
                ])
            #expect(left == [waiting, part, undone, newest])
            #expect(try ledger().filter { $0["kind"].string == "pruned" }.compactMap { $0["run"].string }.count == 4)
            // The sandbox goes on as if nothing had been, and what waited can still be applied.
            _ = try aegix("apply", waiting)
            #expect(try aegix("review", "box", "--stat").text.contains("2 files"))
            let more = try aegix("prune", "--keep", "0", "--unreviewed")
            for id in [waiting, part, undone] { #expect(more.text.contains("removed \(id)"), "\(more.text)") }
            #expect(left == [newest])
            #expect(try aegix("prune", "--keep", "0").text.contains("nothing to remove"))
        }

        @Test func aPrunedRunIsSaidToBe() throws {
            let first = try ran("echo 1 >a")
            let second = try ran("echo 2 >b")
            _ = try aegix("discard", second)
            _ = try aegix("prune", "--older-than", "0s")
            #expect(left == [first])
            for command in ["show", "review", "apply", "discard", "reset"] {
                let ended = try aegix(command, second, "--json", code: 125)
                #expect(try Ground.document(ended)["code"].string == "run.pruned")
                #expect(
                    try Ground.document(try aegix(command, String(second.dropLast(3)), "--json", code: 125))["code"]
                        .string == "run.pruned")
            }
            #expect(try aegix("show", "last").text.contains(first))
            let history = try Ground.document(try aegix("history", "--json"))
            #expect(history["runs"].array.map { $0["pruned"].bool } == [true, false])
            #expect(try aegix("history").text.contains("exited 0, pruned"))
            #expect((history["state"]["bytes"].int ?? 0) > 0 && history["state"]["runs"].int == 1)
            #expect(try Ground.document(ground.run("doctor", "--json"))["state"]["runs"].int == 1)
        }

        @Test func keepAgeAndSize() throws {
            var ids: [String] = []
            for number in 0..<6 { ids.append(try ran("head -c 1M /dev/zero; echo \(number)", "--quiet")) }
            _ = try aegix("prune", "--older-than", "1h")
            _ = try aegix("prune", "--max-size", "1GiB")
            _ = try aegix("prune", "--keep", "5", "--older-than", "1h", "--max-size", "0")
            #expect(left == ids)
            _ = try aegix("prune", "--keep", "5")
            #expect(left == Array(ids[1...]))
            _ = try aegix("prune", "--max-size", "3500KiB")
            #expect(left == Array(ids[3...]))
            _ = try aegix("prune", "--keep", "1", "--max-size", "0")
            #expect(left == [ids[5]])
            for words in [
                [], ["--keep", "-1"], ["--keep", "x"], ["--older-than", "soon"], ["--max-size", "1 GB"],
                ["--keep", "1", "--yes", "--dry-run"], ["--keep", "1", "word"],
            ] {
                #expect(try ground.run(raw: (["prune"] + words).map(bytes)).code == 125, "\(words)")
            }
            #expect(left == [ids[5]])
        }

        @Test(.enabled(if: Ground.has("/usr/bin/script"))) func onATerminalItIsOnlySaid() throws {
            let id = try ran("true")
            func terminal(_ words: String) throws -> String {
                try ground.outside("/usr/bin/script", "-qec", "\(ground.aegix) prune --keep 0 \(words)", "/dev/null")
                    .text
            }
            #expect(try terminal("").contains("would remove \(id)"))
            #expect(left == [id])
            #expect(try terminal("--yes").contains("removed \(id)"))
            #expect(left == [])
        }

        @Test func aliveRunsStay() throws {
            let old = try ran("true")
            var child = try ground.spawn(["--cmd", "echo up; read x; echo hi >made"], stdin: .pipe)
            #expect(child.line() == "up")
            let ended = try ground.outside(ground.aegix, "prune", "--keep", "0", "--unreviewed")
            #expect(ended.code == 0 && ended.text.contains("removed \(old)") && ended.text.contains("it goes on"))
            #expect(left.count == 1)
            #expect(child.finish(input: bytes("go\n")).code == 0)
            #expect(try aegix("review", "last", "--stat").text.contains("made"))
        }

        /// Deep, closed, many; and names like those that the removal gives.
        @Test func hostileTrees() throws {
            let deep = "import os\nfor _ in range(10000):\n    os.mkdir('d')\n    os.chdir('d')\n"
            #expect(try ground.run("--python", deep).code == 0)
            _ = try ran(
                "mkdir -p c/.aegix-gone-1/x c/d/e .aegix-gone-2; touch c/d/e/f; mkfifo p; seq 3000 | xargs touch; chmod 0 c/d/e c/d c"
            )
            #expect(left.count == 2)
            _ = try aegix("prune", "--keep", "0", "--unreviewed")
            #expect(left == [])
            #expect((try? FileManager.default.contentsOfDirectory(atPath: "\(ground.state)/gone")) == [])
        }

        @Test func manyAtOnce() throws {
            for _ in 0..<12 { _ = try ran("true") }
            var children = try (0..<4).map { _ in try ground.spawn(["prune", "--keep", "2", "--json"]) }
            var removed: [String] = []
            for index in children.indices {
                let ended = children[index].finish()
                #expect(ended.code == 0, "\(ended.text) \(ended.errorText)")
                removed += try Ground.document(ended)["removed"].array.compactMap { $0["run_id"].string }
            }
            #expect(left.count == 2 && removed.count == 10 && Set(removed).count == 10)
            #expect(try ledger().filter { $0["kind"].string == "pruned" }.count == 10)
        }

        /// At each call that changes something; the next commands finish it, and tell it once.
        @Test(.enabled(if: Ground.has("/usr/bin/strace"))) func killedAtEachStep() throws {
            var seen: Set<Bool> = []
            for call in ["renameat", "write", "unlinkat"] {
                for number in [1, 2, 3, 5, 8] {
                    let id = try ran("mkdir -p a/b; echo 1 >a/b/c; echo 2 >d")
                    let killed = try ground.outside(
                        "/usr/bin/strace", "-qq", "-o", "/dev/null", "-e", "trace=\(call)", "-e",
                        "inject=\(call):signal=KILL:when=\(number)", ground.aegix, "prune", "--keep", "0",
                        "--unreviewed")
                    #expect(killed.code == 0 || killed.code == 137, "\(killed.errorText)")
                    let isThere = left == [id]
                    seen.insert(isThere)
                    if isThere { _ = try aegix("review", id) }
                    let shown = try ground.run("show", id, "--json")
                    #expect((shown.code == 0) == isThere, "\(shown.text)")
                    _ = try aegix("prune", "--keep", "0", "--unreviewed")
                    #expect(left == [])
                    #expect(try ledger().filter { $0["kind"].string == "pruned" && $0["run"].string == id }.count == 1)
                    #expect((try? FileManager.default.contentsOfDirectory(atPath: "\(ground.state)/gone")) == [])
                }
            }
            #expect(seen == [true, false])
        }

        @Test func aDamagedRecord() throws {
            let id = try ran("echo 1 >a")
            chmod("\(ground.state)/runs/\(id)/audit.json", 0o600)
            try ground.write("\(ground.state)/runs/\(id)/audit.json", "{")
            #expect(
                standings(try Ground.document(try aegix("prune", "--keep", "0", "--json"))["stays"]) == [id: "damaged"])
            _ = try aegix("prune", "--keep", "0", "--unreviewed")
            #expect(left == [])
        }

        // MARK: Runs that were killed

        private func killed(_ options: [String], _ script: String) throws -> String {
            let before = Set(ground.runs)
            var child = try ground.spawn(options + ["--cmd", script + "; echo up; exec sleep 60"])
            #expect(child.line() == "up")
            let run = try #require(ground.runs.first { !before.contains($0) })
            kill(child.pid, SIGKILL)
            _ = child.finish()
            while waitpid(-1, nil, 0) > 0 {}
            return try #require(run.split(separator: "/").last.map(String.init))
        }

        @Test func aKilledRunIsReviewedAndApplied() throws {
            try ground.write("a", "a\n")
            try ground.write("b", "b\n")
            try FileManager.default.createDirectory(atPath: "\(ground.workspace)/d", withIntermediateDirectories: false)
            try ground.write("d/x", "x\n")
            let id = try killed(
                [],
                "echo A >>a; rm b; mkdir -p n .git/hooks; echo 1 >n/f; echo x >.git/hooks/pre-commit; mv d e || true")
            let reviewed = try Ground.document(try aegix("review", id, "--json"))
            let flags = Dictionary(
                uniqueKeysWithValues: reviewed["changes"].array.map {
                    ($0["path"].string ?? "", $0["flags"].array.compactMap(\.string))
                })
            #expect(flags[".git/hooks/pre-commit"]?.contains("protected") == true, "\(flags)")
            #expect(flags["a"] == [] && flags["b"] == [] && flags["n/f"] == [])
            #expect(try ground.record()["changes"].array.count == reviewed["changes"].array.count)
            let applied = try aegix("apply", id)
            #expect(applied.errorText.contains(".git/hooks/pre-commit is protected"))
            #expect(ground.read("\(ground.workspace)/a") == bytes("a\nA\n"))
            #expect(access("\(ground.workspace)/b", F_OK) != 0 && access("\(ground.workspace)/.git/hooks", F_OK) != 0)
            #expect(ground.read("\(ground.workspace)/e/x") == bytes("x\n"))
            _ = try aegix("reset", id)
            #expect(ground.read("\(ground.workspace)/a") == bytes("a\n"))
        }

        @Test func whatChangedInTheWorkspaceSinceIsFlagged() throws {
            try ground.write("a", "a\n")
            let id = try killed([], "echo A >>a; echo b >b")
            try ground.write("a", "other\n")
            let changes = try Ground.document(try aegix("review", id, "--json"))["changes"].array
            #expect(changes.first { $0["path"].string == "a" }?["flags"].array.compactMap(\.string) == ["raced"])
        }

        @Test func ofACopyItIsSaidThatItIsntKnown() throws {
            try ground.write("a", "a\n")
            let id = try killed(try ground.policy("[workspace]\nbacking = \"copy\"\n"), "echo A >>a")
            let ended = try aegix("review", id, code: 125)
            #expect(ended.errorText.contains("worked on a copy"), "\(ended.errorText)")
            #expect(try ground.record()["changes"].value == nil)
        }

        @Test func ofOneInPlaceItIsSaidThatItIsntKnown() throws {
            let id = try killed(try ground.policy("[workspace]\nmode = \"direct\"\n"), "echo a >a")
            let ended = try aegix("review", id, code: 125)
            #expect(ended.errorText.contains("in place"), "\(ended.errorText)")
            #expect(try ground.record()["changes"].value == nil)
            #expect(try ground.record()["outcome"]["message"].string?.contains("in place") == true)
        }

        /// What somebody put there is passed over, and said once.
        @Test func strays() throws {
            let id = try ran("echo x >f")
            #expect(try ground.run("--name", "n", "--cmd", "echo x >f").code == 0)
            let script = """
                cd \(ground.state); mkdir -p gone; ln -s /etc runs/01m7zmv5zvfv3s8hc6ssp5v; echo x >runs/file
                for d in gone sandboxes; do ln -s /etc $d/link; echo x >$d/file; ln -s /etc $d/01m7zmv5zvfv3s8hc6ssp5v.run; done
                """
            #expect(try ground.outside("/bin/sh", "-ec", script).code == 0)
            for words in [["history"], ["prune", "--keep", "9"], ["prune", "--max-size", "1KB", "--dry-run"]] {
                let ended = try ground.run(raw: words.map(bytes))
                #expect(ended.code == 0, "\(words): \(ended.errorText)")
                let told = ended.errorText.split(separator: "\n").filter { $0.contains("passed over") }
                #expect(told.count == 1 && told[0].contains("runs/file"), "\(words): \(ended.errorText)")
            }
            #expect(try aegix("sandboxes").text.hasPrefix("n "))
            _ = try aegix("prune", "--keep", "0", "--unreviewed")
            #expect(access("\(ground.state)/runs/\(id)", F_OK) != 0)
            #expect(access("/etc/passwd", F_OK) == 0 && access("\(ground.state)/runs/file", F_OK) == 0)
        }
    }
}
