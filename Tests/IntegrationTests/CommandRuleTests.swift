// [commands]: what is denied, what goes on, and what the record says.

import Foundation
import Testing

extension Integration {
    @Suite struct CommandRuleTests {
        let ground: Ground
        init() throws { ground = try Ground() }

        static let deny = "[[commands.rule]]\nargv = [\"id\", \"**\"]\ndecision = \"deny\"\nreason = \"a test\"\n"

        @Test(arguments: [
            "id", "/usr/bin/id", "env id", "sh -c 'id; true'", "cp /usr/bin/id x; ./x", "ln -s /usr/bin/id y; ./y",
            "printf '#!/usr/bin/id\\n' > s; chmod +x s; ./s", "echo -u | xargs id",
        ])
        func deniedAndTheShellGoesOn(script: String) throws {
            let ended = try ground.shell("\(script); echo after", try ground.policy(Self.deny))
            #expect(ended.code == 0 && ended.text == "after\n")
            #expect(ended.errorText.contains("ermission denied"))
            #expect(ended.errorText.contains("refused inside: a program was denied with EACCES by the command rule /"))
            #expect(
                ended.errorText.contains(" (deny id **, ")
                    && ended.errorText.contains("policy.toml:3:1); to allow it: "))
            #expect(ended.complaints.filter { $0.hasPrefix("aegix: ") }.count == 1)
            let record = try ground.record()
            let denied = record["processes"].array.filter { $0["decision"].string == "deny" }
            #expect(!denied.isEmpty)
            for one in denied { #expect(one["rule"].string?.contains("policy.toml:3:1") == true) }
            let violation = record["violations"].array.first { $0["control"].string == "commands" }
            #expect(violation?["errno"].string == "EACCES")
        }

        @Test func theCommandItself() throws {
            let ended = try ground.run(raw: (try ground.policy(Self.deny) + ["--", "id"]).map(bytes))
            #expect(ended.code == 126 && ended.out == [])
            let outcome = try ground.record()["outcome"]
            #expect(outcome["status"].string == "denied" && outcome["exit_code"].int == 126)
            #expect(outcome["rule"].string?.contains("deny id **") == true)
        }

        @Test func failOnViolation() throws {
            let options = try ground.policy(Self.deny)
            #expect(try ground.shell("id; true", options).code == 0)
            #expect(try ground.shell("id; true", options + ["--fail-on-violation"]).code == 126)
            #expect(try ground.record()["outcome"]["exit_code"].int == 126)
            #expect(try ground.shell("true", options + ["--fail-on-violation"]).code == 0)
            #expect(try ground.shell("exit 3", options + ["--fail-on-violation"]).code == 3)
        }

        @Test func onlyWhatIsListed() throws {
            let listed = try ground.policy(
                "[commands]\ndefault = \"deny\"\n[[commands.rule]]\nargv = [[\"sh\", \"echo\", \"cat\"], \"**\"]\ndecision = \"allow\"\n"
            )
            let ended = try ground.shell(
                "cat /etc/hostname > /dev/null && echo ok; cp /bin/true t; id; echo after", listed)
            #expect(ended.text.hasSuffix("after\n") && !ended.text.contains("uid="))
            try ground.write("cat", "#!/bin/sh\necho planted\n", mode: 0o755)
            #expect(try !ground.shell("./cat; true", listed).text.contains("planted"))
        }

        @Test func threadsAndVfork() throws {
            let script =
                "import subprocess, threading\n"
                + "def go():\n for _ in range(20): subprocess.run(['true'])\n"
                + "ts=[threading.Thread(target=go) for _ in range(4)]\n[t.start() for t in ts]\n[t.join() for t in ts]\nprint('done')\n"
            let ended = try ground.run(raw: (try ground.policy(Self.deny) + ["--python", script]).map(bytes))
            #expect(ended.code == 0 && ended.text == "done\n")
            let programs = (try ground.record()["processes"].array).filter { $0["argv"].array.first?.string == "true" }
            #expect(programs.count == 80)
        }

        @Test func failedExecsAreTheirCallers() throws {
            try ground.write("text", "echo by the shell\n", mode: 0o755)
            try ground.write("plain", "echo no\n")
            let ended = try ground.shell(
                "./text; ./plain; nosuch; ./ ; echo $?; kill -0 $$; sleep 0.1; echo after", try ground.policy(Self.deny)
            )
            #expect(ended.text == "by the shell\n126\nafter\n")
            #expect(ended.errorText.contains("not found") && ended.errorText.contains("ermission denied"))
        }

        @Test func aLoopThatIsKilled() throws {
            let ended = try ground.shell(
                "while true; do true & /bin/true; done",
                try ground.policy(Self.deny + "[limits]\nexecs = \"none\"\nwall = \"1s\"\n"))
            #expect(ended.code == 124 && ended.seconds < 10)
        }

        @Test func planPrintsRules() throws {
            let ended = try ground.run(raw: (["plan"] + (try ground.policy(Self.deny)) + ["--cmd", "id"]).map(bytes))
            #expect(ended.code == 0 && ended.text.contains("deny id ** ("))
        }

        @Test(arguments: [
            ("argv = [\"id\"]\ndecision = \"deny\"\nmatch = [\"id -u\"]\n", "policy.toml:6:"),
            ("argv = [\"id\"]\ndecision = \"deny\"\nnot_match = [\"id\"]\n", "policy.toml:6:"),
            (
                "argv = [\"id\", \"**\"]\ndecision = \"deny\"\n[[commands.rule]]\nargv = [\"id\", \"-u\"]\ndecision = \"allow\"\n",
                "never decides"
            ),
            ("argv = []\ndecision = \"deny\"\n", "policy.toml:4:"),
            ("argv = [\"id\"]\ndecision = \"never\"\n", "policy.toml:5:"),
        ])
        func malformed(text: String, said: String) throws {
            let ended = try ground.shell("echo ran", try ground.policy("[[commands.rule]]\n" + text))
            #expect(ended.code == 125 && ended.out == [] && ended.errorText.contains(said), "\(ended.errorText)")
        }

        @Test func theWorkspaceOnlyNarrows() throws {
            let base =
                "[commands]\ndefault = \"deny\"\n[[commands.rule]]\nargv = [[\"sh\", \"echo\", \"ls\"], \"**\"]\ndecision = \"allow\"\n"
            try ground.write("aegix.toml", "version = 1\n[[commands.rule]]\nargv = [\"id\"]\ndecision = \"allow\"\n")
            let refused = try ground.shell("echo ran", try ground.policy(base))
            #expect(refused.code == 125 && refused.errorText.contains("aegix.toml:2:1"), "\(refused.errorText)")
            try ground.write(
                "aegix.toml", "version = 1\n[[commands.rule]]\nargv = [\"ls\", \"**\"]\ndecision = \"deny\"\n")
            let ended = try ground.shell("ls; echo after", try ground.policy(base))
            #expect(ended.text == "after\n")
        }
    }
}
