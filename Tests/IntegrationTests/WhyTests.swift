// `aegix why`: the control, the rule with its place, the object, and what would allow it.

import Foundation
import Testing

extension Integration {
    @Suite struct WhyTests {
        let ground: Ground

        init() throws { ground = try Ground() }

        private func reasons() throws -> [JSON] {
            let told = try ground.run("why", "last", "--json")
            #expect(told.code == 0, "\(told.errorText)")
            return try JSON(bytes(told.text))["reasons"].array
        }

        @Test func nothing() throws {
            #expect(try ground.shell("true").code == 0)
            let told = try ground.run("why", "last")
            #expect(told.code == 0 && told.text.contains("nothing was refused"), "\(told.text)")
            #expect(try reasons().isEmpty)
        }

        /// What it says to allow is what allows it.
        @Test func aLimit() throws {
            let policy = try ground.policy("[limits]\nwall = \"300ms\"\n")
            #expect(try ground.shell("sleep 0.5", policy).code == 124)
            let reason = try #require(try reasons().first)
            #expect(reason["control"].string == "limits" && reason["rule"].string == "limits.wall")
            #expect(reason["origin"].string?.contains(".toml:") == true, "\(reason["origin"].string ?? "-")")
            #expect(
                reason["option"].string == "--timeout 600ms" && reason["edit"].string == "[limits]\nwall = \"600ms\"")
            let option = (reason["option"].string ?? "").split(separator: " ").map(String.init)
            #expect(
                try ground.run(raw: (policy + option + ["--cmd", "sleep 0.5"]).map(bytes)).code == 0)
        }

        /// Each needs a rule of its own to be allowed.
        @Test func severalProgramsOfOneRule() throws {
            let start =
                "[commands]\ndefault = \"deny\"\n[[commands.rule]]\nargv = [\"sh\", \"**\"]\ndecision = \"allow\"\n"
            let ended = try ground.shell("/usr/bin/id; /usr/bin/true; /usr/bin/id", try ground.policy(start))
            #expect(ended.errorText.contains("/id 2 times") && ended.errorText.contains("and 1 more refused"))
            let found = try reasons()
            #expect(found.map { $0["object"].string } == ["/usr/bin/id", "/usr/bin/true"])
            #expect(found.map { $0["count"].int } == [2, 1])
            let wider = start + found.compactMap { $0["edit"].string }.joined(separator: "\n") + "\n"
            #expect(try ground.shell("/usr/bin/id; /usr/bin/true", try ground.policy(wider)).code == 0)
        }

        /// Without a network a name can't be looked up, and is told.
        @Test func aNameWithoutANetwork() throws {
            let code = "import socket\ntry: socket.getaddrinfo('no.example', 80)\nexcept OSError as e: print(e.errno)"
            let ended = try ground.run("--", "python3", "-c", code)
            #expect(ended.text == "-2\n" && ended.errorText.contains("to allow it: --allow-host no.example"))
            let reason = try #require(try reasons().first)
            #expect(reason["object"].string == "no.example" && reason["option"].string == "--allow-host no.example")
            #expect(reason["edit"].string == "[network]\nmode = \"allow\"\nallow = [\"no.example\"]")
            let network = try ground.record()["network"].array
            #expect(network.count == 1 && network[0]["name"].string == "no.example")
            #expect(network[0]["kind"].string == "lookup" && network[0]["decision"].string == "deny")
            #expect(
                try ground.run(
                    "--fail-on-violation", "--", "python3", "-c",
                    "import socket; socket.getfqdn(); socket.getaddrinfo('aegix', 1)"
                ).code
                    == 0)
        }

        /// A program's name is the command's choice, and mustn't allow more than itself where it is copied into a policy.
        @Test(arguments: ["*", "a\"], [\"id", "a\\b", "a\nb", "[a-z]", "a b"])
        func namesThatAreSyntax(name: String) throws {
            let start =
                "[commands]\ndefault = \"deny\"\n[[commands.rule]]\nargv = [[\"sh\", \"cp\"], \"**\"]\ndecision = \"allow\"\n"
            try ground.write("\(ground.workspace)/\(name)", "#!/bin/sh\necho it\n", mode: 0o755)
            try ground.write("\(ground.workspace)/z", "#!/bin/sh\necho other\n", mode: 0o755)
            let line = "./'\(name)'; ./z; /usr/bin/id"
            #expect(try ground.shell(line, try ground.policy(start)).text == "")
            let edit = try #require(
                try reasons().first { $0["object"].string?.hasSuffix("/\(name)") == true }?["edit"].string)
            let ended = try ground.shell(line, try ground.policy(start + edit + "\n"))
            #expect(ended.text == "it\n", "\(edit): \(ended.text)\(ended.errorText)")
        }

        @Test func everyControl() throws {
            try ground.write("\(ground.workspace)/.env", "secret\n")
            let policy = try ground.policy(
                """
                [files]
                deny = ["**/.env"]
                [[commands.rule]]
                argv = ["id", "**"]
                decision = "deny"
                """)
            let python =
                "import socket; s = socket.socket(); s.connect_ex(('192.0.2.1', 80)); socket.socket(socket.AF_PACKET)"
            #expect(
                try ground.shell("cat .env; id -u; unshare -U true; python3 -c \"\(python)\"; true", policy).code == 0)
            let all = try reasons()
            func one(_ control: String, _ rule: String) throws -> JSON {
                try #require(
                    all.first { $0["control"].string == control && $0["rule"].string == rule }, "no \(control) \(rule)")
            }
            let file = try one("files", "files.deny")
            #expect(
                file["origin"].string?.contains(".toml:") == true && file["object"].string == "\(ground.workspace)/.env"
            )
            #expect(file["edit"].string?.contains("**/.env") == true)
            let command = try one("commands", "deny id **")
            #expect(
                command["origin"].string?.contains(".toml:") == true
                    && command["edit"].string?.contains("allow") == true)
            let connect = try one("network", "connect")
            #expect(
                connect["object"].string == "192.0.2.1:80" && connect["option"].string == "--allow-host 192.0.2.1:80")
            for rule in ["unshare", "socket(AF_PACKET)"] {
                let call = try one("seccomp", rule)
                #expect(call["allowable"].bool == false && call["advice"].string?.isEmpty == false)
            }
            let text = try ground.run("why", "last").text
            #expect(text.contains("unshare") && text.contains("--allow-host 192.0.2.1:80") && !text.contains("\u{1B}"))
        }

        @Test func aProgramThatIsMissing() throws {
            #expect(try ground.run("--", "no\u{1B}[31msuch").code == 127)
            let told = try ground.run("why", "last")
            #expect(told.text.contains("command.missing") && !told.text.contains("\u{1B}"), "\(told.text)")
        }

        @Test func ofNoRun() throws {
            #expect(try ground.shell("true").code == 0)
            #expect(try ground.run("why", "0123").code == 125)
        }
    }
}
