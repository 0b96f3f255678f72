// What a run read, what it loaded, and what of it is kept for replay: told exactly, and nothing else.

import Foundation
import Testing

extension Integration {
    @Suite struct InputsTests {
        let ground: Ground

        init() throws { ground = try Ground() }

        private func policy(_ inputs: String, detail: String = "processes", _ more: String = "") throws -> [String] {
            try ground.policy("[audit]\ninputs = \"\(inputs)\"\ndetail = \"\(detail)\"\n" + more)
        }

        private var run: String { ground.runs.last ?? "" }

        private var kept: Set<String> {
            Set((try? FileManager.default.contentsOfDirectory(atPath: "\(run)/inputs")) ?? [])
        }

        /// By path, of the record's array.
        private func told() throws -> [String: JSON] {
            Dictionary(
                try ground.record()["inputs"].array.map {
                    (String(decoding: $0["path"].bytes ?? [], as: UTF8.self), $0)
                }
            ) { first, _ in first }
        }

        /// Lines of inputs.jsonl without the first, by path.
        private func listed() throws -> [Bytes: JSON] {
            let text = try #require(ground.read("\(run)/inputs.jsonl"), "no inputs.jsonl")
            let lines = try text.split(separator: 0x0A).map { try JSON(Bytes($0)) }
            #expect(lines.first?["inputs"].int == lines.count - 1)
            return Dictionary(lines.dropFirst().map { ($0["path"].bytes ?? [], $0) }) { first, _ in first }
        }

        private func digest(_ path: String) throws -> String {
            String(try ground.outside("/usr/bin/sha256sum", "--", path).text.drop { $0 == "\\" }.prefix(64))
        }

        private func host(_ script: String) throws {
            let ended = try ground.outside("/bin/sh", "-ec", script)
            #expect(ended.code == 0, "\(ended.errorText)")
        }

        private func isIntact() throws -> Bool {
            try ground.outside(ground.aegix, "verify", String(run.split(separator: "/").last ?? "")).code == 0
        }

        private static let base = """
            echo one >read; echo two >unread; mkdir sub; echo three >sub/read; echo four >appended; echo five >'a
            b'; printf six >"$(printf 'x\\377y')"; ln -s /etc/passwd out; ln -s read in
            """
        private static let work = """
            cat read sub/read 'a
            b' x*y >made; cat in out made >/dev/null; echo more >>appended; test -e unread; ls >/dev/null
            """

        @Test(arguments: ["layer", "apply", "direct", "read-only", "copy"])
        func whatWasReadIsKept(_ mode: String) throws {
            try host(InputsTests.base + (mode == "direct" ? "" : "; mkfifo fifo"))
            let workspace = mode == "copy" ? "backing = \"copy\"" : "mode = \"\(mode)\""
            let work = mode == "read-only" ? "cat read sub/read in out appended 'a\nb' x*y" : InputsTests.work
            let ended = try ground.shell(work, try policy("read", "[workspace]\n\(workspace)\n"))
            #expect(ended.code == 0, "\(ended.errorText)")
            let told = try told()
            for name in ["read", "sub/read", "a\nb"] {
                #expect(told[name]?["kept"].bool == true, "\(name)")
                #expect(try told[name]?["sha256"].string == digest("\(ground.workspace)/\(name)"), "\(name)")
                #expect(told[name]?["use"].array.map(\.string) == ["read"])
            }
            let listed = try listed()
            #expect(listed[bytes("x") + [0xFF] + bytes("y")]?["kept"].bool == true)
            #expect(told["unread"] == nil && listed[bytes("unread")]?["kept"].bool == false)
            #expect(listed[bytes("unread")]?["sha256"].string == nil)
            #expect(listed[bytes("out")]?["target"].string == "/etc/passwd", "and isn't followed")
            #expect(mode == "direct" || listed[bytes("fifo")]?["kind"].string == "other")
            #expect(Set(listed.values.compactMap { $0["kept"].bool == true ? $0["sha256"].string : nil }) == kept)
            if mode == "direct" {
                #expect(told["appended"]?["reason"].string == "changed" && told["made"]?["reason"].string == "changed")
            } else {
                #expect(told["appended"]?["kept"].bool == true, "what is appended to, was there before")
                if mode != "read-only" { #expect(told["made"]?["reason"].string == "made") }
            }
            for name in kept {
                #expect(try digest("\(run)/inputs/\(name)") == name)
                var facts = stat()
                #expect(lstat("\(run)/inputs/\(name)", &facts) == 0 && facts.st_mode == S_IFREG | 0o600)
            }
            #expect(try isIntact())
        }

        @Test func allIsKeptOnce() throws {
            try host("echo same >a; echo same >b; mkdir d; echo other >d/c; : >empty; mkfifo fifo; ln -s /etc d/etc")
            #expect(try ground.shell("true", policy("all")).code == 0)
            #expect(kept.count == 3)
            let listed = try listed()
            #expect(listed[bytes("a")]?["sha256"].string == listed[bytes("b")]?["sha256"].string)
            #expect(listed[bytes("d/etc/passwd")] == nil && listed[bytes("d/c")]?["kept"].bool == true)
            let retention = try ground.record()["retention"]
            #expect(retention["contents"].int == 3 && retention["listed"].int == listed.count)
            #expect(try isIntact())
            // Nothing of it without the key.
            #expect(try ground.shell("cat a").code == 0)
            #expect(try ground.record()["inputs"].array.isEmpty && ground.record()["retention"].value == nil)
            #expect(ground.read("\(run)/inputs.jsonl") == nil && kept == [])
        }

        @Test func whatChangesMeanwhileIsNotKept() throws {
            try host("echo old >old; echo old >changed; echo old >replaced")
            let options = try policy("all")
            var child = try ground.spawn(options + ["--cmd", "echo ready; cat; cat old changed"], stdin: .pipe)
            #expect(child.line() == "ready")
            try host("echo new >changed; echo new >other; mv other replaced")
            _ = child.finish()
            let listed = try listed()
            #expect(listed[bytes("old")]?["kept"].bool == true)
            #expect(
                listed[bytes("changed")]?["reason"].string == "changed"
                    && listed[bytes("changed")]?["sha256"].string == nil)
            #expect(listed[bytes("replaced")]?["reason"].string == "changed")
            #expect(kept.count == 1)
            ground.recorded(1)
        }

        @Test func deniedAndSecret() throws {
            try host("echo k >key; mkdir keys; echo k2 >keys/one; echo fine >fine; printf 'x hunter2222 y' >holds")
            let more = "[files]\ndeny = [\"key\", \"keys\"]\n"
            let ended = try ground.shell(
                "cat key; cat keys/one; cat fine holds",
                try policy("all", detail: "files", more) + ["--secret", "S=env:S"],
                env: ["S": bytes("hunter2222")])
            #expect(ended.errorText.contains("Permission denied"))
            let listed = try listed()
            #expect(
                listed[bytes("key")]?["reason"].string == "denied"
                    && listed[bytes("keys")]?["reason"].string == "denied")
            #expect(listed[bytes("keys/one")] == nil)
            #expect(
                listed[bytes("holds")]?["reason"].string == "secret" && listed[bytes("holds")]?["sha256"].string == nil)
            #expect(try kept == [digest("\(ground.workspace)/fine")])
            let left = try ground.outside("/bin/grep", "-rls", "hunter2222", ground.state)
            #expect(left.text == "" && left.code != 0)
            #expect(try ground.outside("/bin/grep", "-rls", "fine", ground.state).text != "", "the control")
        }

        /// What the workspace's owner can't read, root doesn't read for him.
        @Test func unreadableIsNotKept() throws {
            try host("echo a >open; echo b >closed; mkdir shut; echo c >shut/in; chmod 0 closed shut")
            ground.atEnd { [shut = "\(ground.workspace)/shut"] in chmod(shut, 0o700) }
            #expect(try ground.shell("cat open closed", policy("all", detail: "files")).code == 1)
            let listed = try listed()
            #expect(listed[bytes("open")]?["kept"].bool == true)
            #expect(listed[bytes("closed")]?["reason"].string == "unreadable")
            #expect(listed[bytes("shut")]?["reason"].string == "unreadable" && listed[bytes("shut/in")] == nil)
        }

        @Test func filesAndLibraries() throws {
            let data = "\(ground.directory)/data"
            try FileManager.default.createDirectory(atPath: data, withIntermediateDirectories: false)
            try ground.write("\(data)/used", "used")
            try ground.write("\(data)/unused", "unused")
            try ground.write("own.sh", "#!/bin/sh\ncat \(data)/used\n", mode: 0o755)
            let options = try policy("none", detail: "files") + ["--read", data]
            #expect(try ground.shell("./own.sh; python3 -c 'import _ssl'", options).code == 0)
            let told = try told()
            #expect(try told["\(data)/used"]?["sha256"].string == digest("\(data)/used"))
            #expect(told["\(data)/used"]?["kept"].bool == false && told["\(data)/unused"] == nil)
            #expect(try told["own.sh"]?["sha256"].string == digest("\(ground.workspace)/own.sh"))
            #expect(ground.read("\(run)/inputs.jsonl") == nil)
            let loaded = try ground.record()["loaded"].array
            func kind(_ suffix: String) -> JSON? { loaded.first { $0["path"].string?.contains(suffix) == true } }
            #expect(kind("/own.sh")?["kind"].string == "script")
            #expect(kind("/python3")?["kind"].string == "program")
            #expect(kind("ld-linux")?["kind"].string == "interpreter")
            #expect(kind("libc.so")?["kind"].string == "library" && kind("/_ssl")?["kind"].string == "library")
            for one in loaded {
                let path = try #require(one["path"].string)
                #expect(try one["sha256"].string == digest(path), "\(path)")
            }
            // From the cache, the same.
            #expect(try ground.shell("./own.sh; python3 -c 'import _ssl'", options).code == 0)
            let again = try ground.record()["loaded"].array
            #expect(again.map { $0["sha256"].string } == loaded.map { $0["sha256"].string })
        }

        @Test func aDeniedProgramIsNotLoaded() throws {
            let options = try policy(
                "none", detail: "files", "[[commands.rule]]\nargv = [\"head\", \"**\"]\ndecision = \"deny\"\n")
            _ = try ground.shell("head -c1 /dev/null; tail -c1 /dev/null", options)
            let loaded = try ground.record()["loaded"].array.compactMap { $0["path"].string }
            #expect(loaded.contains { $0.hasSuffix("/tail") } && !loaded.contains { $0.hasSuffix("/head") })
        }

        /// A rename carries what a file held along, unread.
        @Test func whatGetsAnotherNameCounts() throws {
            try host("echo a >a; echo b >b; echo c >c; mkdir d; echo e >d/e")
            #expect(try ground.shell("mv a A; ln b B; mv d D", policy("read")).code == 0)
            let listed = try listed()
            for name in ["a", "b", "d/e"] { #expect(listed[bytes(name)]?["kept"].bool == true, "\(name)") }
            #expect(listed[bytes("c")]?["kept"].bool == false)
        }

        @Test func aSandboxThatGoesOn() throws {
            try host("echo a >a")
            let options = try policy("all") + ["--name", "box"]
            #expect(try ground.shell("echo b >b", options).code == 0)
            #expect(try ground.record()["retention"]["contents"].int == 1 && kept.count == 1)
            #expect(try ground.shell("cat a b", options).code == 0)
            let retention = try ground.record()["retention"]
            #expect(retention["error"].string?.contains("earlier runs") == true && retention["contents"].int == 0)
            #expect(ground.read("\(run)/inputs.jsonl") == nil && kept == [])
        }

        @Test func verifyReadsTheContents() throws {
            try host("echo a >a")
            #expect(try ground.shell("true", policy("all")).code == 0)
            #expect(try isIntact())
            let content = try #require(kept.first)
            try ground.write("\(run)/inputs/more", "x")
            #expect(try !isIntact())
            unlink("\(run)/inputs/more")
            #expect(try isIntact())
            try ground.write("\(run)/inputs/\(content)", "b\n")
            #expect(try !isIntact())
        }

        @Test func pruneTakesThemAlong() throws {
            try host("head -c 3000000 /dev/urandom >a")
            #expect(try ground.shell("true", policy("all")).code == 0)
            let id = String(run.split(separator: "/").last ?? "")
            let said = try ground.outside(ground.aegix, "prune", "--max-size", "1KiB", "--yes", "--json")
            #expect(said.code == 0 && said.text.contains(id), "\(said.text)\(said.errorText)")
            #expect(ground.runs.isEmpty)
            let bytes = try JSON(said.out)["removed"][0]["bytes"].int
            #expect(bytes.map { $0 > 3_000_000 } == true, "\(said.text)")
        }

        /// Nobody knows whether what a killed run left of them is whole, or holds a secret.
        @Test func aKilledRunHasNone() throws {
            try host("echo a >a")
            let options = try policy("all", detail: "files") + ["--record-stdin"]
            var child = try ground.spawn(options + ["--cmd", "read x; echo ready; sleep 60"], stdin: .pipe)
            #expect(Foundation.write(child.input, "typed\n", 6) == 6)
            #expect(child.line() == "ready")
            #expect(ground.read("\(run)/stdin.log") != nil, "the control: it was there")
            kill(child.pid, SIGKILL)
            _ = child.finish()
            while waitpid(-1, nil, 0) > 0 {}
            let said = try ground.outside(ground.aegix, "show", "last", "--json")
            let record = try Ground.document(said)
            #expect(record["outcome"]["status"].string == "interrupted")
            #expect(record["inputs"].isList && record["loaded"].isList && record["streams"]["stdin"].value == nil)
            let left = Set((try? FileManager.default.contentsOfDirectory(atPath: run)) ?? [])
            #expect(left.isDisjoint(with: ["inputs", "inputs.jsonl", "stdin.log"]), "\(left)")
            #expect(try isIntact())
        }

        // MARK: - stdin

        private func stdin() throws -> JSON { try ground.record()["streams"]["stdin"] }

        @Test func stdinIsKeptAsItWasTaken() throws {
            let text = Bytes((0..<200_000).map { UInt8(truncatingIfNeeded: $0 &* 7) })
            #expect(try ground.shell("cat >/dev/null", ["--record-stdin"], input: text).code == 0)
            expectSame(ground.read("\(run)/stdin.log"), text, "the log")
            let stream = try stdin()
            #expect(stream["bytes"].int == text.count && stream["captured"].int == text.count)
            #expect(try stream["sha256"].string == digest("\(run)/stdin.log"))
            #expect(try isIntact())
            // By the way: without the option nothing is.
            #expect(try ground.shell("cat >/dev/null", input: text).code == 0)
            #expect(try stdin().value == nil && ground.read("\(run)/stdin.log") == nil)
        }

        /// The caller's loop keeps its lines, and the log has what was taken of them.
        @Test(arguments: ["printf '1\\n2\\n3\\n' |", "while"])
        func aLoopKeepsItsLines(_ how: String) throws {
            try ground.write("lines", "1\n2\n3\n")
            let aegix = "'\(ground.aegix)' --quiet --record-stdin --cmd 'read x; echo in $x'"
            let loop = "{ while read line; do echo out $line; \(aegix); done; }"
            let script = how == "while" ? "\(loop) <lines" : "\(how) \(loop)"
            let ended = try ground.outside("/bin/sh", "-c", script)
            #expect(ended.text == "out 1\nin 2\nout 3\nin\n", "\(ended.text)")
            let logs = ground.runs.map { ground.read("\($0)/stdin.log").map { String(decoding: $0, as: UTF8.self) } }
            #expect(logs == ["2\n", ""])
        }

        @Test func whatWasNotReadIsNotKept() throws {
            #expect(try ground.shell("head -c 5 >/dev/null; true", ["--record-stdin"], input: bytes("12345")).code == 0)
            #expect(ground.read("\(run)/stdin.log") == bytes("12345"))
            #expect(
                try ground.shell("exec true", ["--record-stdin"], input: Bytes(repeating: 65, count: 1 << 20)).code == 0
            )
            #expect(ground.read("\(run)/stdin.log") == [])
            #expect(try stdin()["bytes"].int == 0)
        }

        @Test func stdinThatIsTooLong() throws {
            let limit = try ground.policy("[limits]\noutput = \"1KiB\"\n")
            let ended = try ground.shell(
                "cat >/dev/null", limit + ["--record-stdin"], input: Bytes(repeating: 66, count: 100_000))
            #expect(ended.code == 0)
            let stream = try stdin()
            #expect(stream["bytes"].int == 100_000 && stream["captured"].int == 1024)
            #expect(stream["truncated"].bool == true && ground.read("\(run)/stdin.log")?.count == 1024)
        }

        @Test func aSecretInIt() throws {
            let options = ["--record-stdin", "--secret", "S=env:S"]
            let secret = ["S": bytes("hunter2222")]
            let ended = try ground.shell("cat >/dev/null", options, env: secret, input: bytes("a hunter2222 b"))
            #expect(ended.code == 0 && ended.errorText.contains("stdin isn't kept"))
            let stream = try stdin()
            #expect(
                stream["reason"].string == "secret" && stream["sha256"].string == nil && stream["path"].value == nil)
            #expect(ground.read("\(run)/stdin.log") == nil)
            #expect(try isIntact())
            // The control: another one is kept.
            #expect(try ground.shell("cat >/dev/null", options, env: secret, input: bytes("a hunter222 b")).code == 0)
            #expect(ground.read("\(run)/stdin.log") == bytes("a hunter222 b"))
        }
    }
}
