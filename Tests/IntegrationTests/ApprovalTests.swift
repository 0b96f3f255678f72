// Approvals by a program: what is a yes, and everything that isn't.

import Foundation
import Testing

extension Integration {
    @Suite struct ApprovalTests {
        let ground: Ground
        init() throws { ground = try Ground() }

        /// The approval command is `ask` beside the policy, out of the sandbox's reach.
        func policy(_ answer: String, timeout: String = "2s", more: String = "") throws -> [String] {
            try ground.write("\(ground.directory)/ask", "#!/bin/sh\n\(answer)\n", mode: 0o755)
            return try ground.policy(
                "[[commands.rule]]\nargv = [\"id\", \"**\"]\ndecision = \"approve\"\n[approval]\nvia = \"command\"\n"
                    + "command = [\"./ask\"]\ntimeout = \"\(timeout)\"\n" + more)
        }

        func asked() throws -> [JSON] {
            (try ground.record()["processes"].array).filter { $0["approval"]["answer"].string != nil }
        }

        @Test func once() throws {
            let log = "\(ground.directory)/log"
            let ended = try ground.shell(
                "id -u; id -u; echo after",
                try policy(
                    "cat >> \(log); echo '{\"decision\": \"once\", \"by\": \"somebody\", \"message\": \"fine\"}'"))
            #expect(ended.code == 0 && ended.text.hasSuffix("after\n") && ended.text.split(separator: "\n").count == 3)
            let all = try asked()
            #expect(all.count == 2)
            #expect(all.allSatisfy { $0["decision"].string == "approve" && $0["approval"]["by"].string == "somebody" })
            #expect(
                all.allSatisfy {
                    $0["approval"]["via"].string == "command" && $0["approval"]["answer"].string == "once"
                })
            let requests = String(decoding: ground.read(log) ?? [], as: UTF8.self)
            #expect(requests.contains("\"argv\":[\"id\",\"-u\"]") && requests.contains("aegix.approval/v1"))
        }

        @Test func forThisRun() throws {
            let log = "\(ground.directory)/log"
            let ended = try ground.shell(
                "id -u; id -u; id -g; echo after", try policy("echo x >> \(log); echo '{\"decision\": \"run\"}'"))
            #expect(ended.code == 0 && ended.text.hasSuffix("after\n"))
            // Another word is another question.
            #expect(ground.read(log)?.count == 4)
            #expect(try asked().map { $0["approval"]["answer"].string } == ["run", "remembered", "run"])
        }

        @Test(arguments: [
            "echo '{\"decision\": \"deny\"}'", "echo garbage", "echo '{\"decision\": \"yes\"}'", "true",
            "echo '{\"decision\": \"once\"}'; exit 1",
            "echo '{\"decision\": \"once\"}'; kill -9 $$", "head -c 100000 /dev/zero", "exec sleep 100",
            "exec < /dev/null > /dev/null; sleep 100 & exit 0",
            "echo '{\"decision\": \"once\"} {}'", "echo '{\"decision\": [\"once\"]}'",
        ])
        func everythingElseIsNo(answer: String) throws {
            let ended = try ground.shell("id; echo after", try policy(answer, timeout: "1s"), deadline: 20)
            #expect(ended.text == "after\n", "\(answer): \(ended.text)")
            #expect(try asked().first?["approval"]["answer"].string == "deny")
            #expect(try asked().first?["decision"].string == "deny")
        }

        @Test func nobodyThere() throws {
            for via in ["tty", "deny"] {
                let ended = try ground.shell(
                    "id; echo after",
                    try ground.policy(
                        "[[commands.rule]]\nargv = [\"id\", \"**\"]\ndecision = \"approve\"\n[approval]\nvia = \"\(via)\"\n"
                    ))
                #expect(ended.text == "after\n" && ended.seconds < 10)
                #expect(try asked().first?["approval"]["via"].string == via)
            }
        }

        @Test func theClockStandsStill() throws {
            let ended = try ground.shell(
                "id > /dev/null; sleep 0.5; echo after",
                try policy(
                    "sleep 2; echo '{\"decision\": \"once\"}'", timeout: "10s", more: "[limits]\nwall = \"1500ms\"\n"))
            #expect(ended.code == 0 && ended.text == "after\n")
            let late = try ground.shell(
                "id > /dev/null; sleep 5; echo after",
                try policy(
                    "sleep 1; echo '{\"decision\": \"once\"}'", timeout: "10s", more: "[limits]\nwall = \"1500ms\"\n"))
            #expect(late.code == 124 && late.seconds < 6)
        }

        @Test func nothingRunsMeanwhile() throws {
            let ended = try ground.shell(
                "(while :; do echo x >> ticks; sleep 0.02; done) & sleep 0.2; id > /dev/null; kill $!; echo after",
                try policy(
                    "sleep 0.3; a=$(stat -c %s \(ground.workspace)/ticks); sleep 1; b=$(stat -c %s \(ground.workspace)/ticks); "
                        + "[ $a = $b ] && echo '{\"decision\": \"once\"}'", timeout: "5s",
                    more: "[workspace]\nmode = \"direct\"\n"), deadline: 20)
            #expect(ended.text == "after\n")
            #expect(try asked().first?["approval"]["answer"].string == "once", "something ran while the question stood")
        }

        @Test func theCommandItself() throws {
            let no = try ground.run(raw: (try policy("exit 1") + ["--", "id"]).map(bytes))
            #expect(no.code == 126)
            #expect(try ground.record()["outcome"]["status"].string == "denied")
            let yes = try ground.run(raw: (try policy("echo '{\"decision\": \"once\"}'") + ["--", "id"]).map(bytes))
            #expect(yes.code == 0 && yes.text.contains("uid="))
        }

        @Test func aSignalEndsTheQuestion() throws {
            var child = try ground.spawn(try policy("sleep 100", timeout: "60s") + ["--cmd", "id; echo after"])
            usleep(700_000)
            kill(child.pid, SIGTERM)
            let ended = child.finish(input: [], deadline: 10)
            #expect(ended.code == 143 && ended.seconds < 8)
            ground.recorded(1)
        }

        @Test func aCommandThatIsntThere() throws {
            let ended = try ground.shell(
                "echo ran",
                try ground.policy(
                    "[[commands.rule]]\nargv = [\"id\"]\ndecision = \"approve\"\n[approval]\nvia = \"command\"\ncommand = [\"./nosuch\"]\n"
                ))
            #expect(ended.code == 125 && ended.errorText.contains("nosuch"))
        }
    }
}
