// Artifacts: what the command left, from every kind of workspace, told exactly, and nothing else.

import Foundation
import Testing

extension Integration {
    @Suite struct ArtifactTests {
        let ground: Ground

        init() throws { ground = try Ground() }

        /// path → content of what lies in a directory; nil for what isn't a plain file.
        private func files(_ directory: String) -> [String: String?] {
            var found: [String: String?] = [:]
            for path in (FileManager.default.enumerator(atPath: directory)?.allObjects as? [String]) ?? [] {
                var facts = stat()
                lstat("\(directory)/\(path)", &facts)
                if facts.st_mode & S_IFMT == S_IFDIR { continue }
                let isFile = facts.st_mode & S_IFMT == S_IFREG
                found[path] =
                    isFile ? ground.read("\(directory)/\(path)").map { String(decoding: $0, as: UTF8.self) } : nil
            }
            return found
        }

        private var collected: [String: String?] { files("\(ground.runs.last ?? "")/artifacts") }

        private func skipped() throws -> [String: String] {
            try ground.record()["artifacts"].array.reduce(into: [:]) { all, entry in
                if let path = entry["path"].string, let reason = entry["skipped"].string { all[path] = reason }
            }
        }

        private func host(_ script: String) throws {
            let ended = try ground.outside("/bin/sh", "-ec", script)
            #expect(ended.code == 0, "\(ended.errorText)")
        }

        private let base =
            "mkdir -p sub/deep gone full; echo a >a; echo b >b; echo c >sub/c; echo d >sub/deep/d; echo g >gone/g; echo f >full/f; ln a linked"
        private let work =
            "echo A >>a; rm b; rm -r gone; rm -r full; mkdir full; echo n >full/new; mkdir fresh; echo x >fresh/x; chmod 600 sub/c; mv sub/deep moved"

        /// Whiteouts, opaque and renamed directories, hard links: what the command would list is what is collected.
        @Test(arguments: ["layer", "apply", "copy", "direct"])
        func theViewAfterTheRun(_ mode: String) throws {
            try host(base)
            let workspace = mode == "copy" ? "backing = \"copy\"" : "mode = \"\(mode)\""
            let policy = try ground.policy("[workspace]\n\(workspace)\n[artifacts]\ncollect = [\"**\"]\n")
            let ended = try ground.shell(
                work
                    + "; find . -type f -printf '%P %m\\n' | sort; for f in $(find . -type f); do echo $f; cat $f; done | sha256sum",
                policy)
            #expect(ended.code == 0, "\(ended.errorText)")
            let listed = ended.text.split(separator: "\n").dropLast().map { String($0.split(separator: " ")[0]) }
            #expect(Set(collected.keys) == Set(listed), "\(mode)")
            var wanted: [String: String?] = [
                "a": "a\nA\n", "linked": "a\nA\n", "sub/c": "c\n", "moved/d": "d\n", "full/new": "n\n",
                "fresh/x": "x\n",
            ]
            // A user's overlay can't write through hard links, and says so in the changes.
            if !Ground.isRoot, mode == "layer" || mode == "apply" { wanted["linked"] = "a\n" }
            #expect(collected == wanted, "\(mode)")
            let entries = try ground.record()["artifacts"].array
            #expect(
                entries.compactMap { $0["path"].string }
                    == wanted.keys.sorted { Array($0.utf8).lexicographicallyPrecedes(Array($1.utf8)) })
            #expect(entries.allSatisfy { $0["kind"].string == "file" && $0["sha256"].string?.count == 64 })
            if mode != "direct" {
                let source = entries.first { $0["path"].string == "fresh/x" }
                #expect(source?["source"].string == "layer" && source?["mode"].string == "0644")
            }
        }

        /// More than is brought into the layer stays a mark in it. A directory with a masked path in it can't be moved.
        @Test(.enabled(if: Ground.isRoot)) func aLargeDirectoryThatWasRenamed() throws {
            try host(
                "mkdir -p big/s/t k; cd big; seq 20100 | xargs touch; echo key >../k/key; echo one >s/t/one; echo two >s/two"
            )
            let policy = try ground.policy(
                "[files]\ndeny = [\"k/key\"]\n[artifacts]\ncollect = [\"moved/1\", \"moved/s\", \"big\", \"deep\", \"k\"]\n"
            )
            let work =
                "mv big moved; echo more >>moved/1; mv moved/s/t deep; echo new >moved/s/new; ! mv k moved/s/k; ! cat k/key"
            let ended = try ground.shell(work, policy)
            #expect(ended.code == 0, "\(ended.errorText)")
            let found = collected
            let wanted = ["moved/1": "more\n", "moved/s/two": "two\n", "moved/s/new": "new\n", "deep/one": "one\n"]
            #expect(found == wanted, "\(found.count) files")
            #expect(try skipped() == ["k/key": "denied"])
            let changes = try ground.record()["changes"].array
            #expect(changes.contains { $0["path"].string == "moved" && $0["kind"].string == "renamed" })
        }

        @Test func aReadOnlyWorkspaceIsCollectedAsItIs() throws {
            try host(base)
            let ended = try ground.shell(
                "echo x >new; true",
                try ground.policy("[workspace]\nmode = \"read-only\"\n[artifacts]\ncollect = [\"sub\"]\n"))
            #expect(ended.code == 0)
            #expect(collected == ["sub/c": "c\n", "sub/deep/d": "d\n"])
            #expect(try ground.record()["artifacts"].array.allSatisfy { $0["source"].string == "workspace" })
        }

        @Test(.enabled(if: ConfinedTests.works)) func tierConfined() throws {
            try host(base)
            let owner = ConfinedTests.owner
            let container = try ground.write("\(ground.directory)/container", ConfinedTests.filter)
            try ground.write("closed", "nobody's\n", mode: 0o600)
            if Ground.isRoot {
                for path in [ground.workspace]
                    + ["a", "b", "sub", "sub/c", "sub/deep", "sub/deep/d", "gone", "gone/g", "full", "full/f"].map({
                        "\(ground.workspace)/\($0)"
                    })
                {
                    chown(path, owner, owner)
                }
            }
            let ended = try ground.outside([
                "/usr/bin/python3", container, ground.aegix, "run", "--workspace", ground.workspace, "--require",
                "confined", "--artifact", "**", "--cmd", work,
            ])
            #expect(ended.code == 0, "\(ended.errorText)")
            #expect(try ground.record()["enforcement"]["tier"].string == "confined")
            var wanted: [String: String?] = [
                "a": "a\nA\n", "linked": "a\nA\n", "sub/c": "c\n", "moved/d": "d\n", "full/new": "n\n",
                "fresh/x": "x\n",
            ]
            if !Ground.isRoot { wanted["closed"] = "nobody's\n" }
            #expect(collected == wanted)
            if Ground.isRoot { #expect(try skipped()["closed"] == "unreadable") }
        }

        @Test func aNamedSandboxHasWhatItsRunsLeft() throws {
            #expect(try ground.shell("echo one >one", ["--name", "box", "--artifact", "*"]).code == 0)
            #expect(try ground.shell("echo two >two", ["--name", "box", "--artifact", "*"]).code == 0)
            #expect(collected == ["one": "one\n", "two": "two\n"])
        }

        @Test func alsoAfterAFailureATimeoutOrASignal() throws {
            let options = ["--artifact", "f"]
            #expect(try ground.shell("echo f >f; exit 3", options).code == 3)
            #expect(collected == ["f": "f\n"])
            #expect(try ground.shell("echo f >f; sleep 60", options + ["--timeout", "1s"]).code == 124)
            #expect(collected == ["f": "f\n"])
            #expect(try ground.shell("echo f >f; kill -9 $$", options).code == 137)
            #expect(collected == ["f": "f\n"])
            // Nothing ran, and nothing is collected.
            try ground.write("f", "base\n")
            #expect(try ground.run("--artifact", "f", "--", "no-such-program").code == 127)
            #expect(try ground.record()["collection"].value == nil)
            #expect(collected == [:])
        }

        @Test func whatIsAskedForAndIsntThereIsSaid() throws {
            let ended = try ground.shell(
                "ln -s a link; echo x >f", ["--artifact", "junit.xml", "--artifact", "f", "--artifact", "link"])
            #expect(ended.code == 0)
            #expect(
                ended.errorText.contains("no artifact matches junit.xml;")
                    && ended.errorText.contains("1 path not collected"), "\(ended.errorText)")
            #expect(ended.errorText.split(separator: "\n").count == 1)
            let collection = try ground.record()["collection"]
            #expect(collection["patterns"].array.map { $0["matched"].int } == [0, 1, 1])
            let shown = try ground.run("show", "last").text
            #expect(
                shown.contains("nothing matches junit.xml") && shown.contains("link  not collected: symlink")
                    && shown.contains("f  2 B"), "\(shown)")
            let quiet = try ground.shell("echo x >f", ["--artifact", "f", "--quiet"])
            #expect(quiet.errorText == "")
        }

        @Test func theBoundOfBytesTakesWhatFits() throws {
            let policy = try ground.policy("[artifacts]\ncollect = [\"*\"]\nmax_bytes = 10\n")
            let ended = try ground.shell("printf 12345678 >a; printf 123 >b; printf 12 >c; truncate -s 1G d", policy)
            #expect(ended.code == 0)
            #expect(collected == ["a": "12345678", "c": "12"])
            #expect(try skipped() == ["b": "max_bytes", "d": "max_bytes"])
            #expect(ended.errorText.contains("artifacts are cut short by artifacts.max_bytes"), "\(ended.errorText)")
            let collection = try ground.record()["collection"]
            #expect(collection["bytes"].int == 10 && collection["bounds"][0].string == "max_bytes")
        }

        @Test func holesStay() throws {
            #expect(try ground.shell("truncate -s 64M f; printf end >>f", ["--artifact", "f"]).code == 0)
            let line = try ground.outside("/usr/bin/sha256sum", "\(ground.runs.last ?? "")/artifacts/f").text
            #expect(try ground.record()["artifacts"][0]["sha256"].string == String(line.prefix(64)))
            var facts = stat()
            stat("\(ground.runs.last ?? "")/artifacts/f", &facts)
            #expect(
                facts.st_size == 64 << 20 + 3 && facts.st_blocks * 512 < 1 << 20, "\(facts.st_size) \(facts.st_blocks)")
        }

        @Test func theManifestHasEachOfThem() throws {
            #expect(try ground.shell("mkdir d; echo x >d/x; ln -s x d/y", ["--artifact", "d", "--json"]).code == 0)
            let manifest = try JSON(try #require(ground.read("\(ground.runs.last ?? "")/manifest.json")))
            let entries = manifest["artifacts"].array
            #expect(entries.count == 1 && entries[0]["path"].string == "d/x" && entries[0]["bytes"].int == 2)
            #expect(entries[0]["sha256"].string == "73cb3858a687a8494ca3323053016282f3dad39d42cf62ca4e79dda2aac7d9ac")
        }

        @Test func outIsReplacedAndKept() throws {
            let out = "\(ground.directory)/out"
            try host(
                "mkdir -p \(out)/d; echo old >\(out)/d/f; echo mine >\(out)/other; echo target >\(ground.directory)/target; ln -s ../target \(out)/link"
            )
            let ended = try ground.shell(
                "mkdir d; echo new >d/f; echo new >link", ["--artifact", "d", "--artifact", "link", "--out", out])
            #expect(ended.code == 0, "\(ended.errorText)")
            #expect(files(out) == ["d/f": "new\n", "other": "mine\n", "link": "new\n"])
            #expect(ground.read("\(ground.directory)/target") == bytes("target\n"))
            #expect(try ground.record()["collection"]["out"]["path"].string == out)
            // A directory where a file has to go: the run's own copy is whole.
            try host("rm \(out)/link; mkdir \(out)/link")
            let failed = try ground.shell("echo new >link", ["--artifact", "link", "--out", out])
            #expect(
                failed.code == 123 && failed.errorText.contains("can't put the artifacts into"), "\(failed.errorText)")
            #expect(collected == ["link": "new\n"])
            #expect(try ground.record()["collection"]["out"]["error"].string != nil)
            #expect(files(out) == ["d/f": "new\n", "other": "mine\n"], "something temporary was left")
        }

        @Test func outIsntTheWorkspaceItself() throws {
            for out in [".", ground.workspace, "sub/.."] {
                try host("mkdir -p sub")
                let ended = try ground.run("--artifact", "f", "--out", out, "--cmd", "echo planted >f")
                #expect(ended.code == 125 && ground.runs.isEmpty, "\(out): \(ended.errorText)")
            }
        }

        /// A path beneath DIR is the command's choice: it leads into nothing that a review or aegix itself stands before.
        @Test func outAboveTheWorkspaceIsNoApply() throws {
            try host("echo old >kept")
            let script =
                "mkdir -p workspace/deep state/runs conf/aegix; for d in workspace workspace/deep state state/runs conf/aegix; do echo evil >$d/planted; done; echo fine >fine"
            try host("mkdir \(ground.directory)/conf")
            let ended = try ground.run(
                "--artifact", "**", "--out", ground.directory, "--cmd", script,
                env: ["XDG_CONFIG_HOME": bytes("\(ground.directory)/conf")])
            #expect(ended.code == 123 && ended.errorText.contains("left out"), "\(ended.errorText)")
            #expect(ground.read("\(ground.directory)/fine") == bytes("fine\n"), "a neighbour was left out")
            for path in [
                ground.workspace, "\(ground.workspace)/deep", ground.state, "\(ground.state)/runs",
                "\(ground.directory)/conf/aegix",
            ] {
                #expect(ground.read("\(path)/planted") == nil, "\(path)")
            }
            #expect(access("\(ground.directory)/conf/aegix", F_OK) != 0, "the configuration directory was made")
            #expect(collected["workspace/planted"] == "evil\n")
            let error = try #require(try ground.record()["collection"]["out"]["error"].string)
            #expect(error.contains("left out"), "\(error)")
        }

        @Test func outIsntAegixOwn() throws {
            try ground.shell("true")
            for out in [
                ground.state, "\(ground.state)/runs", "\(ground.state)/runs/new/x", "\(ground.directory)/conf/aegix/x",
            ] {
                let ended = try ground.run(
                    "--artifact", "f", "--out", out, "--cmd", "echo planted >f",
                    env: ["XDG_CONFIG_HOME": bytes("\(ground.directory)/conf")])
                #expect(ended.code == 125 && ground.runs.count == 1, "\(out): \(ended.errorText)")
                #expect(
                    access("\(ground.state)/runs/new", F_OK) != 0 && access("\(ground.directory)/conf/aegix", F_OK) != 0
                )
            }
        }

        /// Nothing says that copies which were cut off are whole: they go with the aegix that made them.
        @Test func aKillMeanwhileLeavesNone() throws {
            try host("head -c 1G /dev/zero | tr '\\0' x >huge; echo x >a")
            let policy = try ground.policy("[artifacts]\ncollect = [\"*\"]\nmax_bytes = \"4GiB\"\n")
            var child = try ground.spawn(policy + ["--cmd", "true"])
            let limit = Date().addingTimeInterval(30)
            while Date() < limit {
                if let run = ground.runs.last, access("\(run)/artifacts/huge", F_OK) == 0 { break }
                usleep(2000)
            }
            kill(child.pid, SIGKILL)
            #expect(child.finish().code == 137)
            #expect(try ground.run("show", "last").code == 0)
            let record = try ground.record()
            #expect(record["outcome"]["status"].string == "interrupted" && record["artifacts"].array.isEmpty)
            #expect(access("\(ground.runs.last ?? "")/artifacts", F_OK) != 0)
            ground.recorded(1)
        }

        @Test func outThatCantBeHadStopsTheRunBefore() throws {
            try host("echo x >file")
            let ended = try ground.run("--artifact", "f", "--out", "file/out", "--cmd", "true")
            #expect(ended.code == 125 && ground.runs.isEmpty, "\(ended.errorText)")
        }

        @Test(arguments: [
            ("/tmp/x", "isn't a path beneath the workspace"), ("~/x", "isn't a path beneath the workspace"),
            ("../x", "`..`"), ("", "is empty"),
            (".", "isn't a path beneath the workspace"), (String(repeating: "n", count: 256), "255 bytes"),
            (String(repeating: "d/", count: 129) + "f", "128 directories"), ("secret/x", "files.deny hides"),
            ("a[", "a["),
        ])
        func patternsThatCanMatchNothingAreRefused(_ pattern: String, _ word: String) throws {
            let deny = "[files]\ndeny = [\"secret\"]\n"
            let written = try ground.shell(
                "true", try ground.policy(deny + "[artifacts]\ncollect = [\"\(pattern)\"]\n"))
            #expect(written.code == 125 && written.errorText.contains(word), "\(written.errorText)")
            let asked = try ground.shell("true", try ground.policy(deny) + ["--artifact", pattern])
            #expect(asked.code == 125 && asked.errorText.contains(word), "\(asked.errorText)")
            #expect(ground.runs.isEmpty)
        }

        @Test func aLockedTableIsntLoosened() throws {
            let policy = "lock = [\"artifacts\"]\n[artifacts]\ncollect = [\"dist\"]\n"
            #expect(try ground.shell("true", try ground.policy(policy) + ["--artifact", "dist/x"]).code == 0)
            let refused = try ground.shell("true", try ground.policy(policy) + ["--artifact", "x"])
            #expect(refused.code == 125 && refused.errorText.contains("locked"), "\(refused.errorText)")
            try ground.write("aegix.toml", "version = 1\n[artifacts]\ncollect = [\"**\"]\n")
            let planted = try ground.shell("true")
            #expect(planted.code == 125 && planted.errorText.contains("loosens"), "\(planted.errorText)")
        }

        @Test func thePlanSaysIt() throws {
            let out = "\(ground.directory)/out"
            let plan = try ground.run("plan", "--artifact", "dist/**", "--out", out, "--cmd", "true")
            #expect(plan.text.contains("artifacts  dist/**, at most 256.0 MiB, copied to \(out)"), "\(plan.text)")
            #expect(access(out, F_OK) != 0)
            let document = try JSON(try ground.run("plan", "--artifact", "dist/**", "--json", "--cmd", "true").out)[
                "artifacts"]
            #expect(document["collect"][0].string == "dist/**" && document["max_bytes"].int == 256 << 20)
        }

        @Test(.enabled(if: Ground.isRoot)) func aFullDiskFailsTheCollectionAndKeepsTheRecord() throws {
            let state = "\(ground.directory)/small"
            try host("mkdir \(state)")
            let script = """
                mount -t tmpfs -o size=8m,mode=0700 none \(state); cd \(ground.workspace)
                \(ground.aegix) run --state-dir \(state) --policy \(ground.directory)/policy.toml --artifact '*' --cmd true; echo code $?
                cat \(state)/runs/*/audit.json; find \(state)/runs/*/artifacts
                """
            _ = try ground.policy("[workspace]\nmode = \"read-only\"\n")
            for name in 1...12 { try ground.write("f\(name)", Bytes(repeating: 65, count: 1 << 20)) }
            let ended = try ground.outside("/usr/bin/unshare", "-m", "/bin/sh", "-c", script)
            #expect(
                ended.text.contains("code 123") && ended.text.contains("\"error\":\"can't copy what the run left"),
                "\(ended.text.suffix(600)) \(ended.errorText)")
        }
    }
}
