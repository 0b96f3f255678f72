// --json: exactly one document on stdout, whatever happens.

import Foundation
import Testing

extension Integration {
    @Suite struct DocumentTests {
        let ground: Ground
        init() throws { ground = try Ground() }

        @Test(arguments: [
            "echo hi", "exit 3", "kill -9 $$", "sleep 60", "head -c 3000000 /dev/zero", "printf '\\377\\376'",
        ])
        func aRun(script: String) throws {
            let ended = try ground.shell(script, ["--json", "--timeout", "500ms"])
            let document = try Ground.document(ended)
            #expect(document["schema"].string == "aegix.audit/v1")
            #expect(document["outcome"]["exit_code"].int == Int(ended.code))
        }

        @Test func theStreamsAreInIt() throws {
            let document = try Ground.document(ground.shell("echo out; echo err >&2", ["--json"]))
            #expect(document["streams"]["stdout"]["text"].string == "out\n")
            #expect(document["streams"]["stderr"]["text"].string == "err\n")
            let binary = try Ground.document(ground.shell("printf 'a\\377\\000b'", ["--json"]))["streams"]["stdout"]
            #expect(binary["text"].string == nil)
            #expect(binary["text"]["base64"].string == "Yf8AYg==")
            let large = try Ground.document(ground.shell("head -c 3000000 /dev/zero | tr '\\0' x", ["--json"]))[
                "streams"]["stdout"]
            #expect(large["text"].string?.utf8.count == 1 << 20)
            #expect(large["bytes"].int == 3_000_000)
        }

        @Test func itIsTheRecord() throws {
            let ended = try ground.shell("true", ["--json"])
            #expect(try Ground.document(ended)["run_id"].string == ground.record()["run_id"].string)
        }

        static let mistakes: [[String]] = [
            ["run", "--json"], ["run", "--json", "--bogus"],
            ["run", "--json", "--policy", "absent.toml", "--", "true"],
            ["run", "--json", "--workspace", "/nonexistent", "--", "true"], ["run", "--json", "--cmd"],
            ["run", "--json", "--cmd", "true", "--python", "1"],
            ["run", "--json", "--timeout", "x", "--", "true"], ["--json", "--bogus"], ["bogus", "--json"],
            ["show", "--json", "absent"], ["show", "--json"],
            ["history", "--json", "--limit", "many"], ["policy", "--json", "check", "absent.toml"],
            ["policy", "show", "--json", "absent"], ["policy", "--json"],
            ["plan", "--json"], ["plan", "--json", "--workspace", "/nonexistent", "--", "true"],
            ["run", "--json", "--state-dir", "/proc/none", "--", "true"],
        ]

        @Test(arguments: mistakes)
        func aMistake(arguments: [String]) throws {
            let ended = try ground.run(raw: arguments.map(bytes))
            let document = try Ground.document(ended)
            #expect(document["schema"].string == "aegix.error/v1")
            #expect(document["message"].string?.isEmpty == false && document["code"].string?.isEmpty == false)
            #expect(ended.code == 125 && document["exit_code"].int == 125)
        }

        @Test func aBrokenPolicyTellsAllItsErrors() throws {
            let file = try ground.write(
                "\(ground.directory)/broken.toml",
                "version = 1\n[limits]\nwal = \"1s\"\nmemory = 5.5\n[network]\nmode = \"none\"\nfoo = 1\n")
            let ended = try ground.run("run", "--json", "--policy", file, "--", "true")
            #expect(ended.code == 125)
            let document = try Ground.document(ended)
            let lines = Set(document["details"].array.compactMap { $0["line"].int })
            #expect(lines.isSuperset(of: [3, 7]), "not all errors at once: \(ended.text)")
            #expect(ended.text.contains("wall"), "the nearest spelling isn't offered")
        }

        @Test(arguments: [
            ["doctor", "--json"], ["history", "--json"], ["plan", "--json", "--", "true"],
            ["policy", "--json", "list"], ["policy", "show", "--json", "default"], ["policy", "--json", "schema"],
            ["show", "--json", "last"],
        ])
        func theOthers(arguments: [String]) throws {
            try ground.shell("true")
            let ended = try ground.run(raw: arguments.map(bytes))
            _ = try Ground.document(ended)
            #expect(ended.code == 0, "\(ended.errorText)")
        }

        @Test func aProgramThatIsNotThere() throws {
            for (program, code) in [("no-such-program", 127), ("/usr", 126)] as [(String, Int32)] {
                let ended = try ground.run("run", "--json", "--", program)
                #expect(ended.code == code)
                #expect(try Ground.document(ended)["outcome"]["exit_code"].int == Int(code))
            }
        }

        @Test func aSignalMidway() throws {
            var child = try ground.spawn(["run", "--json", "--cmd", "echo some; touch here; sleep 60"])
            let deadline = ContinuousClock.now.advanced(by: .seconds(10))
            while .now < deadline, ground.runs.last.flatMap({ ground.read($0 + "/stdout.log") })?.isEmpty != false {
                usleep(5000)
            }
            kill(child.pid, SIGTERM)
            let ended = child.finish(deadline: 20)
            #expect(ended.code == 143)
            let document = try Ground.document(ended)
            #expect(document["outcome"]["status"].string == "interrupted")
            #expect(document["streams"]["stdout"]["text"].string == "some\n")
        }

        @Test func nothingElseOnStdout() throws {
            // The command has no way to write beside the document.
            let ended = try ground.shell(
                "echo x > /proc/self/fd/1; echo y > /dev/stdout; echo z > /dev/stderr", ["--json"])
            _ = try Ground.document(ended)
        }
    }
}
