// `aegix policy explain` against what a run does, case by case.

import Foundation
import Testing

extension Integration {
    @Suite struct ExplainTests {
        let ground: Ground
        init() throws { ground = try Ground() }

        private func judged(_ options: [String], _ question: [String]) throws -> JSON {
            let told = try ground.run(raw: (["policy", "explain", "--json"] + options + question).map(bytes))
            let document = try Ground.document(told)
            let one = document["judgements"][0]
            #expect(document["schema"].string == "aegix.policy-explain/v1")
            #expect(told.code == (one["decision"].string == "allow" ? 0 : 1), "\(question): \(told.text)")
            #expect(ground.runs.isEmpty || told.code != 125)
            return one
        }

        /// Whether a run of the same words has anything denied.
        private func isDenied(_ options: [String], _ line: String) throws -> Bool {
            _ = try ground.run(raw: (options + ["--cmd", line]).map(bytes))
            return try ground.record()["processes"].array.contains { $0["decision"].string == "deny" }
        }

        private static let rules = """
            [[commands.rule]]
            argv = ["id", "**"]
            decision = "deny"
            reason = "a test"
            [[commands.rule]]
            argv = ["who*"]
            decision = "deny"
            [[commands.rule]]
            argv = ["/usr/bin/uname", "-a"]
            decision = "deny"
            [[commands.rule]]
            argv = ["./forbidden", "**"]
            decision = "deny"

            """

        private func furnish() throws {
            let id = try #require(ground.read("/usr/bin/id"))
            try ground.write("copy", id, mode: 0o755)
            try ground.write("s", "#!/usr/bin/id\n", mode: 0o755)
            try ground.write("e", "#!/usr/bin/env id\n", mode: 0o755)
            try ground.write("plain", "#!/bin/sh\ntrue\n", mode: 0o755)
            try ground.write("forbidden", "#!/bin/sh\ntrue\n", mode: 0o755)
            try ground.write("data", "x\n")
            symlink("/usr/bin/id", "\(ground.workspace)/lnk")
            symlink("lnk", "\(ground.workspace)/lnk2")
            symlink("forbidden", "\(ground.workspace)/other")
        }

        @Test func commandsAsInARun() throws {
            try furnish()
            let options = try ground.policy(Self.rules)
            for line in [
                "id", "id -u", "/usr/bin/id", "./lnk", "./lnk2 -u", "./copy", "./s", "./e", "./forbidden", "./other",
                "env id", "/usr/bin/env -i A=1 id -u", "env -S 'A=1 id'", "nohup id", "nice -n 5 id", "timeout 5 id",
                "setsid id", "sh -c id", "sh -c 'env id'", "whoami", "who am", "uname -a", "uname -r", "uname", "true",
                "ls", "./plain", "env ls", "echo id", "i\\d", "'id' \"-u\"",
            ] {
                let one = try judged(options, ["--cmd", line])
                let denied = try isDenied(options, line)
                #expect(
                    (one["decision"].string == "deny") == denied,
                    "\(line): explain says \(one["decision"].string ?? "-"), the run \(denied ? "denies" : "doesn't")")
                if denied {
                    #expect(one["origin"].string?.contains("policy.toml:") == true && one["object"].string != nil)
                    #expect(one["edit"].string?.contains("allow") == true)
                }
            }
        }

        @Test func aDefaultOfDeny() throws {
            try furnish()
            for mode in ["layer", "read-only"] {
                let options = try ground.policy(
                    "[commands]\ndefault = \"deny\"\n[[commands.rule]]\nargv = [[\"sh\", \"ls\", \"./plain\"], \"**\"]\n"
                        + "decision = \"allow\"\n[workspace]\nmode = \"\(mode)\"\n")
                for line in ["ls", "ls -l", "cat data", "./plain", "./s", "env ls", "true", "./lnk"] {
                    let one = try judged(options, ["--cmd", line])
                    let denied = try isDenied(options, line)
                    #expect(
                        (one["decision"].string == "deny") == denied,
                        "\(mode) \(line): \(one["decision"].string ?? "-")")
                }
            }
            // What it says to add is what allows it.
            let options = try ground.policy(
                "[commands]\ndefault = \"deny\"\n[[commands.rule]]\nargv = [\"sh\", \"**\"]\ndecision = \"allow\"\n")
            let edit = try #require(try judged(options, ["--cmd", "id -u"])["edit"].string)
            let wider = try ground.policy(
                "[commands]\ndefault = \"deny\"\n[[commands.rule]]\nargv = [\"sh\", \"**\"]\ndecision = \"allow\"\n"
                    + edit + "\n")
            #expect(try judged(wider, ["--cmd", "id -u"])["decision"].string == "allow")
            #expect(try ground.shell("id -u", wider).code == 0)
        }

        @Test func whatIsAskedAndWhatCantBeTold() throws {
            let options = try ground.policy("[[commands.rule]]\nargv = [\"id\"]\ndecision = \"approve\"\n")
            #expect(try judged(options, ["--cmd", "id"])["decision"].string == "approve")
            #expect(try judged(options, ["--", "id"])["decision"].string == "approve")
            for line in ["ls | id", "id; ls", "$X", "`id`", "(id)", "A=1 id", "exec id", "ls > x", "if", "a\nb", "'"] {
                #expect(try judged(options, ["--cmd", line])["decision"].string == "unknown", "\(line)")
            }
            #expect(try judged(options, ["--cmd", "nosuch"])["rule"].string == "command.missing")
            #expect(try judged(options, ["--", "no\u{1B}[31m"])["decision"].string == "deny")
            let text = try ground.run("policy", "explain", "--", "no\u{1B}[31m\nallow  cmd id")
            #expect(!text.text.contains("\u{1B}") && !text.text.contains("\nallow"), "\(text.text)")
        }

        @Test func pathsAsInARun() throws {
            try ground.write("\(ground.workspace)/.env", "secret\n")
            try ground.write("\(ground.workspace)/data", "x\n")
            for name in ["ro", "rw", "out"] {
                try FileManager.default.createDirectory(
                    atPath: "\(ground.directory)/\(name)", withIntermediateDirectories: false)
                try ground.write("\(ground.directory)/\(name)/f", "x\n")
            }
            symlink(".env", "\(ground.workspace)/hidden")
            symlink("\(ground.directory)/out/f", "\(ground.workspace)/away")
            for mode in ["layer", "read-only"] {
                let options = try ground.policy(
                    "[files]\ndeny = [\"**/.env\"]\nread = [\"\(ground.directory)/ro\"]\nwrite = [\"\(ground.directory)/rw\"]\n"
                        + "[workspace]\nmode = \"\(mode)\"\n")
                for path in [
                    "data", ".env", "hidden", "away", "\(ground.directory)/ro/f", "\(ground.directory)/rw/f",
                    "\(ground.directory)/out/f", "/usr/bin/ls", "/etc/shadow", "/etc/passwd", "/bin/ls", ground.state,
                    "../workspace/data", "/dev/null",
                ] {
                    let read = try judged(options, ["--read", path])["decision"].string == "allow"
                    let ran = try ground.shell(
                        "[ -d '\(path)' ] && ls '\(path)' > /dev/null || cat '\(path)' > /dev/null", options)
                    #expect(read == (ran.code == 0), "\(mode): reading \(path): \(read), \(ran.errorText)")
                    let write = try judged(options, ["--write", path])["decision"].string == "allow"
                    let wrote = try ground.shell("echo x >> '\(path)'", options)
                    #expect(write == (wrote.code == 0), "\(mode): writing \(path): \(write), \(wrote.errorText)")
                }
                let new = try judged(options, ["--write", "new"])["decision"].string == "allow"
                let made = try ground.shell("echo x > new", options)
                #expect(new == (made.code == 0))
                #expect(try judged(options, ["--write", "/tmp/new"])["decision"].string == "allow")
            }
            let masked = try judged(try ground.policy("[files]\ndeny = [\"**/.env\"]\n"), ["--read", "hidden"])
            #expect(
                masked["rule"].string == "files.deny" && masked["origin"].string?.contains("policy.toml:4:") == true)
            let closed = try judged([], ["--read", "\(ground.directory)/out/f"])
            #expect(closed["option"].string == "--read \(ground.directory)/out/f")
        }

        /// What a directory's mode keeps the command from.
        @Test func directoriesOnTheWay() throws {
            let files = FileManager.default
            for (name, mode) in [("shut", 0o600), ("still", 0o555), ("open", 0o755)] {
                let directory = "\(ground.workspace)/\(name)"
                try files.createDirectory(atPath: directory, withIntermediateDirectories: false)
                try ground.write("\(directory)/f", "x\n")
                try files.setAttributes([.posixPermissions: mode], ofItemAtPath: directory)
            }
            defer { for name in ["shut", "still"] { chmod("\(ground.workspace)/\(name)", 0o755) } }
            for path in ["shut/f", "shut/new", "still/f", "still/new", "open/f", "open/new", "new"] {
                if !path.hasSuffix("new") {
                    let read = try judged([], ["--read", path])["decision"].string == "allow"
                    #expect(read == (try ground.shell("cat \(path)").code == 0), "reading \(path): \(read)")
                }
                let write = try judged([], ["--write", path])["decision"].string == "allow"
                #expect(write == (try ground.shell("echo x >> \(path)").code == 0), "writing \(path): \(write)")
            }
        }

        @Test func mistakes() throws {
            for words in [
                [], ["--connect", "a.b"], ["--connect", "http://a.b:80"], ["--connect", "*.b:80"],
                ["--connect", "10.0.0.0/8:80"], ["--connect", "a.b:0"], ["--connect", "0177.0.0.1:80"], ["--read", ""],
                ["word", "--read", "x"], ["--timeout", "1s", "--read", "x"],
            ] {
                let told = try ground.run(raw: (["policy", "explain"] + words).map(bytes))
                #expect(told.code == 125 && told.complaints.count == 1, "\(words): \(told.code) \(told.errorText)")
            }
            #expect(try ground.run("policy", "list", "--read", "x").code == 125)
            let bad = try ground.policy("[network]\nallow = [\"10.1.2.3/24\"]\n")
            let told = try ground.run(raw: (["policy", "explain", "--read", "x"] + bad).map(bytes))
            #expect(told.code == 125 && told.errorText.contains("policy.toml:4:"))
            #expect(
                ground.runs.isEmpty && !FileManager.default.fileExists(atPath: ground.state), "explain made something")
        }
    }
}
