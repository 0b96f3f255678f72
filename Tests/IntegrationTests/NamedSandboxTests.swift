// Sandboxes that live on from call to call.

import Foundation
import Testing

extension Integration {
    @Suite struct NamedSandboxTests {
        let ground: Ground
        init() throws { ground = try Ground() }

        private func changes() throws -> [String] {
            let listed = try ground.record()["changes"]
            #expect(listed.isList, "there is no list at all")
            return listed.array.map { change in
                "\(change["path"].string ?? "-") \(change["kind"].string ?? "-") "
                    + change["flags"].array.compactMap(\.string).joined(separator: "+")
            }
        }

        @Test func callsSeeEachOther() throws {
            try ground.write("\(ground.workspace)/a", "a\n")
            #expect(try ground.run("--name", "one", "--cmd", "echo more >>a; mkdir d; echo x >d/x").code == 0)
            #expect(try ground.run("--name", "one", "--cmd", "cat a d/x; rm -r d").text == "a\nmore\nx\n")
            let third = try ground.shell("cat a; ls", env: ["AEGIX_NAME": bytes("one")])
            #expect(third.text == "a\nmore\na\n", "\(third.errorText)")
            #expect(try changes() == ["a modified "])
            #expect(try ground.record()["workspace"]["sandbox"].string == "one")
            // Another name, and none, see the workspace as it is.
            #expect(try ground.run("--name", "two", "--cmd", "cat a").text == "a\n")
            #expect(try ground.shell("cat a").text == "a\n")
            #expect(ground.read("\(ground.workspace)/a") == bytes("a\n"))
            let listed = try Ground.document(try ground.run("--json", "sandboxes"))
            #expect(listed["sandboxes"].array.compactMap { $0["name"].string } == ["one", "two"])
        }

        @Test func linksAndRenamesLiveOn() throws {
            _ = try ground.outside("/bin/sh", "-ec", "echo a >a; ln a b; mkdir -p d/in; echo x >d/in/x")
            let moves = "import os; os.rename('d/in' if os.getuid() else 'd', 'e')"
            let script =
                geteuid() == 0 ? moves.replacingOccurrences(of: "'d/in' if os.getuid() else 'd'", with: "'d'") : ""
            if geteuid() == 0 {
                #expect(try ground.run("--name", "n", "--", "/usr/bin/python3", "-c", script).code == 0)
            }
            #expect(try ground.run("--name", "n", "--cmd", "echo more >>a").code == 0)
            let seen = try ground.run("--name", "n", "--cmd", "cat b; find . -name x")
            #expect(seen.text == (geteuid() == 0 ? "a\nmore\n./e/in/x\n" : "a\n./d/in/x\n"), "\(seen.errorText)")
        }

        @Test func oneRunAtATime() throws {
            var child = try ground.spawn(
                ["--quiet", "--name", "n", "--cmd", "echo up; read x; echo late >file"], stdin: .pipe)
            #expect(child.line() == "up")
            let second = try ground.outside(ground.aegix, "--name", "n", "--cmd", "true")
            #expect(second.code == 125 && second.errorText.contains("another run goes on in the sandbox n"))
            var third = try ground.spawn(["--quiet", "--name", "n", "--wait", "30s", "--cmd", "cat file"])
            let first = child.finish(input: bytes("go\n"))
            #expect(first.code == 0, "\(first.errorText)")
            #expect(third.finish().text == "late\n")
        }

        @Test func aKilledRunDoesntSpoilIt() throws {
            var child = try ground.spawn(["--name", "n", "--cmd", "echo kept >file; echo up; sleep 60"])
            #expect(child.line() == "up")
            kill(child.pid, SIGKILL)
            _ = child.finish()
            while waitpid(-1, nil, 0) > 0 {}  // the sandbox dies with its aegix, and is ours to reap
            #expect(try ground.run("--name", "n", "--cmd", "cat file").text == "kept\n")
            #expect(try changes() == ["file added "])
        }

        @Test func theHostsOwnChangesAreTold() throws {
            try ground.write("\(ground.workspace)/a", "a\n")
            #expect(try ground.run("--name", "n", "--cmd", "echo mine >a; echo new >b").code == 0)
            try ground.write("\(ground.workspace)/a", "theirs\n")
            try ground.write("\(ground.workspace)/b", "theirs\n")
            #expect(try ground.run("--name", "n", "--cmd", "cat a b").text == "mine\nnew\n")
            #expect(try changes() == ["a modified raced", "b added raced"])
            #expect(try ground.record()["changes"][0]["before"]["size"].int == 2, "as the first run found it")
        }

        /// The host comes to the sandbox's content by itself, and goes on: that is an edit of the host's, not one to be undone.
        @Test func whatTheHostMadeEqualIsNotForgotten() throws {
            try ground.write("\(ground.workspace)/a", "old\n")
            #expect(try ground.run("--name", "n", "--cmd", "echo mine >a").code == 0)
            try ground.write("\(ground.workspace)/a", "mine\n")
            #expect(try ground.run("--name", "n", "--cmd", "true").code == 0)
            try ground.write("\(ground.workspace)/a", "later\n")
            #expect(try ground.run("--name", "n", "--cmd", "true").code == 0)
            #expect(try changes() == ["a modified raced"])
            #expect(try ground.run("apply", "n").code == 1)
            #expect(ground.read("\(ground.workspace)/a") == bytes("later\n"))
        }

        @Test func waitingForEver() throws {
            #expect(try ground.run("--name", "n", "--wait", "none", "--cmd", "true").code == 0)
            #expect(try ground.run("--name", "n", "--wait", "36500d", "--cmd", "true").code == 0)
        }

        @Test func itBelongsToItsWorkspace() throws {
            #expect(try ground.run("--name", "n", "--cmd", "true").code == 0)
            let other = "\(ground.directory)/other"
            try FileManager.default.createDirectory(atPath: other, withIntermediateDirectories: true)
            let ended = try ground.run("--name", "n", "--workspace", other, "--cmd", "true")
            #expect(ended.code == 125 && ended.errorText.contains("belongs to another workspace"))
        }

        @Test func whatThePolicyKeeps() throws {
            let kept = try ground.policy("[workspace]\nkeep = [\"home\", \"tmp\"]\n") + ["--name", "n"]
            #expect(try ground.shell("echo h >~/h; echo t >/tmp/t; touch f", kept).code == 0)
            #expect(try ground.shell("cat ~/h /tmp/t; test -w /tmp && test -w ~", kept).text == "h\nt\n")
            let plain = try ground.shell("cat ~/h /tmp/t", ["--name", "n"])
            #expect(plain.code == 1 && plain.text.isEmpty, "kept although the policy doesn't say so")
        }

        @Test func thePolicyNamesItAfterTheWorkspace() throws {
            let policy = try ground.policy("[workspace]\nsandbox = \"workspace\"\n")
            #expect(try ground.shell("echo x >x", policy).code == 0)
            #expect(try ground.shell("cat x", policy).text == "x\n")
            #expect(try ground.shell("cat x").code == 1)
            let direct = try ground.policy("[workspace]\nmode = \"direct\"\nsandbox = \"workspace\"\n")
            #expect(try ground.shell("test ! -e x", direct).code == 0)
        }

        /// Once applied, the layer goes with its run: the host's later edits aren't hidden by what the sandbox wrote before.
        @Test func appliedByItsName() throws {
            try ground.write("\(ground.workspace)/a", "a\n")
            #expect(try ground.run("--name", "n", "--cmd", "echo mine >a; echo new >b").code == 0)
            #expect(try ground.run("review", "n", "--stat").text.contains("2 files changed"))
            #expect(try ground.run("apply", "n").code == 0)
            #expect(ground.read("\(ground.workspace)/a") == bytes("mine\n"))
            try ground.write("\(ground.workspace)/a", "edited\n")
            #expect(try ground.run("--name", "n", "--cmd", "cat a b").text == "edited\nnew\n")
            #expect(try changes() == [])
        }

        @Test func onlyTheNewestRunStandsForIt() throws {
            #expect(try ground.run("--name", "n", "--cmd", "echo 1 >one").code == 0)
            let first = try #require(ground.runs.last?.split(separator: "/").last.map(String.init))
            #expect(try ground.run("--name", "n", "--cmd", "echo 2 >two").code == 0)
            for verb in ["apply", "discard"] {
                let ended = try ground.run(verb, first)
                #expect(ended.code == 1 && ended.errorText.contains("the sandbox n went on"), "\(ended.errorText)")
            }
            #expect(try ground.run("discard", "n").code == 0)
            #expect(try ground.run("--name", "n", "--cmd", "ls").text.isEmpty)
        }

        @Test func resetByItsName() throws {
            #expect(
                try ground.run("--name", "n", "--cmd", "mkdir -m 000 closed; echo x >x; mkdir -p deep/er; ln x deep/y")
                    .code == 0)
            #expect(try ground.run("reset", "n").code == 0)
            #expect(try ground.run("--name", "n", "--cmd", "ls").text.isEmpty)
            try ground.run("reset", "--all")
            #expect(try FileManager.default.contentsOfDirectory(atPath: "\(ground.state)/gone").isEmpty)
            #expect(try ground.run("reset", "nobody").code == 125)
            var child = try ground.spawn(["--quiet", "--name", "n", "--cmd", "echo up; read x"], stdin: .pipe)
            #expect(child.line() == "up")
            let busy = try ground.outside(ground.aegix, "reset", "n")
            #expect(busy.code != 0 && busy.errorText.contains("a run goes on"), "\(busy.errorText)")
            #expect(child.finish(input: bytes("go\n")).code == 0)
        }

        @Test func appliedByItself() throws {
            let policy = try ground.policy("[workspace]\nmode = \"apply\"\n") + ["--name", "n"]
            #expect(try ground.shell("echo x >x", policy).code == 0)
            #expect(ground.read("\(ground.workspace)/x") == bytes("x\n"))
            #expect(try ground.shell("echo y >y; exit 3", policy).code == 3)
            #expect(ground.read("\(ground.workspace)/y") == nil)
            #expect(try ground.shell("cat x y", policy).text == "x\ny\n", "what wasn't applied is there still")
            #expect(ground.read("\(ground.workspace)/y") == bytes("y\n"))
        }

        @Test(arguments: ["", "last", ".hidden", "-x", "a/b", "..", "a b", "01m7zmv5zvfv3s8hc6ssp5v", "é"])
        func namesThatAreNone(name: String) throws {
            let ended = try ground.run("--name=\(name)", "--cmd", "true")
            #expect(ended.code == 125 && ended.errorText.contains("--name takes"), "\(ended.errorText)")
        }

        @Test func whatCantHaveOne() throws {
            for text in ["mode = \"direct\"", "mode = \"read-only\"", "backing = \"copy\""] {
                let ended = try ground.shell("true", try ground.policy("[workspace]\n\(text)\n") + ["--name", "n"])
                #expect(ended.code == 125 && ended.errorText.contains("sandbox"), "\(text): \(ended.errorText)")
            }
        }

        /// The flags that say where a run may not make anything.
        private func denied() throws -> [String] {
            try ground.record()["changes"].array.filter {
                $0["flags"].array.compactMap(\.string).contains("denied")
            }.compactMap { $0["path"].string }
        }

        /// A sandbox carries the union of what was denied to its runs, until its layer is handed over.
        @Test func aDenialOutlivesItsPolicy() throws {
            _ = try ground.outside("/bin/sh", "-ec", "mkdir vault; echo secret >vault/q")
            let deny = try ground.policy("[files]\ndeny = [\"vault\", \"**/*.pem\"]\n")
            let name = ["--name", "n"]
            #expect(try ground.shell("echo planted >a.pem; echo fine >ok; echo fine >alike", deny + name).code == 0)
            #expect(try denied() == ["a.pem"])
            let moved = try ground.shell(
                "mv a.pem b.txt; ln vault/q vq; cp b.txt c.txt; echo fine >ok2; echo x >new.pem", name)
            #expect(moved.code == 0, "\(moved.errorText)")
            #expect(try denied() == ["b.txt", "c.txt", "new.pem", "vq"])
            #expect(try ground.shell("mv b.txt d.txt; echo 1 >>d.txt", name + ["--artifact", "*.txt"]).code == 0)
            #expect(try denied() == ["c.txt", "d.txt", "new.pem", "vq"])
            #expect(try ground.record()["artifacts"].array.allSatisfy { $0["skipped"].string == "denied" })
            let applied = try ground.run("apply", "n")
            #expect(applied.code == 0, "\(applied.errorText)")
            #expect(ground.read("\(ground.workspace)/ok") == bytes("fine\n"))
            for path in ["a.pem", "b.txt", "c.txt", "d.txt", "new.pem", "vq"] {
                #expect(access("\(ground.workspace)/\(path)", F_OK) != 0, "\(path) was applied")
            }
            // It begins anew.
            #expect(try ground.shell("echo x >e.pem", name).code == 0)
            #expect(try denied() == [])
        }

        @Test func aDenialOutlivesAKilledRun() throws {
            let deny = try ground.policy("[files]\ndeny = [\"**/*.pem\"]\n")
            var child = try ground.spawn(deny + ["--name", "n", "--cmd", "echo planted >a.pem; echo up; sleep 60"])
            #expect(child.line() == "up")
            kill(child.pid, SIGKILL)
            _ = child.finish()
            while waitpid(-1, nil, 0) > 0 {}
            #expect(try ground.run("--name", "n", "--cmd", "mv a.pem b.txt; echo fine >ok").code == 0)
            #expect(try denied() == ["b.txt"])
            #expect(try ground.run("apply", "n").code == 0)
            #expect(access("\(ground.workspace)/b.txt", F_OK) != 0 && access("\(ground.workspace)/ok", F_OK) == 0)
        }
    }
}
