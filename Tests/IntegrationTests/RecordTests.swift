// The record: valid by an independent validator, complete, private, and true to what ran.

import Foundation
import Testing

extension Integration {
    @Suite struct RecordTests {
        let ground: Ground
        init() throws { ground = try Ground() }

        func tool(_ arguments: [String]) throws -> (code: Int32, text: String) {
            let process = Process()
            let pipe = Pipe()
            process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
            process.arguments = arguments
            process.standardOutput = pipe
            process.standardError = pipe
            try process.run()
            let text = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
            process.waitUntilExit()
            return (process.terminationStatus, text)
        }

        @Test func resetClearsWhatAKilledRunLeft() throws {
            #expect(try ground.run("reset", "--all").text.contains("nothing to clear"))
            #expect(try ground.run("reset").code == 125)
            var child = try ground.spawn(["--quiet", "--cmd", "echo up; sleep 60"])
            #expect(child.line() == "up")
            kill(child.pid, SIGKILL)
            _ = child.finish()
            while waitpid(-1, nil, 0) > 0 {}  // the sandbox dies with its aegix, and is ours to reap
            let id = try #require(ground.runs.last.map { String($0.split(separator: "/").last ?? "") })
            #expect(try ground.run("reset", "--all").text.contains("closed the record of run \(id)"))
            #expect(try ground.record()["outcome"]["status"].string == "interrupted")
            let again = try Ground.document(try ground.run("--json", "reset", "--all"))
            #expect(again["schema"].string == "aegix.reset/v1" && again["closed"].array.isEmpty)
        }

        @Test func validByAnIndependentValidator() throws {
            try ground.shell("echo hi | cat; unshare -U true; exit 3")
            try ground.shell("kill -9 $$")
            try ground.shell("sleep 5", ["--timeout", "100ms"])
            try ground.run("--", "no-such-program")
            try ground.run(raw: [bytes("--label"), bytes("a=b"), bytes("--"), bytes("printf"), [0xff, 0xfe]])
            try ground.shell("yes | head -c 3000000", ground.policy("[limits]\noutput = \"1KiB\"\n"))
            let records = ground.runs.map { "\($0)/audit.json" }
            #expect(records.count == 6)
            // Debian's Python has Debian's jsonschema; another may have PyPI's.
            for python in ["/usr/bin/python3", "python3"] {
                let (code, text) = try tool(
                    [python, "\(Ground.checkout)/Tests/Conformance/validate_record.py"] + records)
                if code == 77, python == "/usr/bin/python3" { continue }
                if code == 77, ProcessInfo.processInfo.environment["AEGIX_MUST_WORK"] != "1" { return }
                #expect(code == 0, "\(text)")
                return
            }
        }

        @Test func everyExecOfAPipeline() throws {
            try ground.write("script", "#!/bin/sh\nexec /usr/bin/env true\n", mode: 0o755)
            try ground.shell(
                "/bin/echo a | cat | /usr/bin/wc -c; ./script; (exec sleep 0); find . -name script -exec head -c 1 {} +; no-such; ./absent"
            )
            let processes = try ground.record()["processes"].array
            let programs = processes.compactMap { $0["program"].string }.map { ($0 as NSString).lastPathComponent }
            // The shell goes by the name of what /bin/sh links to.
            #expect(
                programs.dropFirst().sorted() == [
                    "cat", "echo", "env", "find", "head", "script", "sleep", "true", "wc",
                ], "\(programs)")
            #expect(processes.first?["argv"][0].string == "sh")
            #expect(processes.allSatisfy { $0["decision"].string == "allow" })
            let cat = processes.first { $0["argv"][0].string == "cat" }
            #expect(cat?["parent"].int == processes.first?["pid"].int)
            #expect(
                processes.allSatisfy { $0["pid"].int != nil && $0["parent"].int != nil },
                "a process that waits has a parent")
            #expect(try ground.record()["usage"]["execs"].int == programs.count)
        }

        @Test func execsWithoutAFork() throws {
            // Threads, vfork and posix_spawn each come to exec by another way.
            let code =
                "import os, subprocess, threading\nsubprocess.run(['/bin/true', 'spawned'])\nos.posix_spawn('/bin/true', ['/bin/true', 'posix'], {}); os.wait()\nt = threading.Thread(target=lambda: os.execv('/bin/true', ['/bin/true', 'thread'])); t.start(); t.join()"
            #expect(try ground.run("--python", code).code == 0)
            let words = try ground.record()["processes"].array.compactMap { $0["argv"][1].string }
            #expect(words.suffix(3) == ["spawned", "posix", "thread"], "\(words)")
        }

        @Test func whoAndWhere() throws {
            try ground.shell("true", ["--label", "ci=job-7", "--label", "x=y"])
            let record = try ground.record()
            let members: Set = [
                "schema", "run_id", "parent", "labels", "aegix", "invocation", "command", "policy", "host",
                "enforcement", "identity", "environment", "started_at", "finished_at", "duration_ns", "outcome",
                "usage", "processes", "network", "violations", "changes", "inputs", "artifacts", "streams",
            ]
            #expect(members.subtracting(record.keys) == [])
            #expect(record["labels"]["ci"].string == "job-7")
            #expect(record["invocation"]["cwd"].string == ground.workspace)
            #expect(record["identity"]["outside"]["uid"].int != 0, "the sandbox had host root's uid")
            #expect(record["identity"]["inside"]["uid"].int == Int(getuid()))
            #expect(record["enforcement"]["controls"].array.count > 8)
            #expect(record["enforcement"]["controls"].array.allSatisfy { $0["held"].bool == true })
            #expect(["isolated", "sealed"].contains(record["enforcement"]["tier"].string))
            #expect((record["duration_ns"].int ?? 0) > 0)
        }

        @Test func theManifestHolds() throws {
            try ground.shell("echo hi; echo no >&2")
            let run = try #require(ground.runs.last)
            let manifest = try #require(ground.read("\(run)/manifest.json"))
            _ = try JSON(manifest)
            let text = String(decoding: manifest, as: UTF8.self)
            for name in ["audit.json", "events.jsonl", "stdout.log", "stderr.log", "policy.toml"] {
                let (_, line) = try tool(["sha256sum", "\(run)/\(name)"])
                #expect(text.contains(line.prefix(64)), "\(name) isn't what the manifest says")
            }
        }

        @Test func onlyTheCallerCanReadIt() throws {
            try ground.shell("umask 000; echo secret; touch open")
            let (_, loose) = try tool([
                "find", ground.state, "-path", "*/layer/upper", "-prune", "-o", "-perm", "/077", "-print",
            ])
            #expect(loose == "", "others can read: \(loose)")
        }

        @Test func idsAreInOrderAndFindable() throws {
            for number in 0..<5 { try ground.shell("exit \(number)") }
            #expect(
                ground.runs.enumerated().allSatisfy { (number, run) in
                    (try? JSON(ground.read("\(run)/audit.json") ?? []))?["outcome"]["exit_code"].int == number
                })
            let last = try #require(ground.runs.last.map { ($0 as NSString).lastPathComponent })
            for name in ["last", last, String(last.prefix(20))] {
                #expect(try Ground.document(ground.run("show", "--json", name))["run_id"].string == last, "\(name)")
            }
            #expect(try ground.run("show", String(last.prefix(1))).code == 125, "a prefix of many runs names none")
            #expect(try Ground.document(ground.run("history", "--json", "--limit", "2"))["runs"].array.count == 2)
            #expect(
                try ground.run("show", "last").text.contains("exit 4") || ground.run("show", "last").text.contains("4"))
        }

        @Test func copiesAndParents() throws {
            let copy = "\(ground.directory)/copy.json"
            try ground.shell("true", ["--record", copy])
            let parent = try #require(ground.record()["run_id"].string)
            let original = ground.read("\(ground.runs.last ?? "")/audit.json")
            expectSame(ground.read(copy), original, "the copy of the record, byte for byte")
            try ground.shell("true", ["--parent", parent])
            #expect(try ground.record()["parent"].string == parent)
        }

        @Test func violationsAreCounted() throws {
            try ground.shell("for i in 1 2 3; do unshare -U true; done; chmod u+s /tmp; true")
            let violations = try ground.record()["violations"].array
            let unshare = violations.first { $0["rule"].string?.contains("unshare") == true }
            #expect(unshare?["count"].int == 3 && unshare?["control"].string == "seccomp")
            #expect(violations.contains { $0["rule"].string?.contains("chmod") == true })
            try ground.shell("echo fine")
            #expect(try ground.record()["violations"].array.isEmpty, "the control: nothing was refused here")
        }

        @Test func manyAtOnce() throws {
            var children = try (0..<24).map { try ground.spawn(["--cmd", "echo \($0); exit \($0)"]) }
            let codes = children.indices.map { children[$0].finish(deadline: 60) }
            #expect(codes.map { Int($0.code) } == Array(0..<24))
            #expect(codes.enumerated().allSatisfy { $1.text == "\($0)\n" })
            ground.recorded(24)
            let ledger = String(decoding: try #require(ground.read("\(ground.state)/ledger.jsonl")), as: UTF8.self)
            #expect(ledger.split(separator: "\n").count == 48)
        }
    }
}
