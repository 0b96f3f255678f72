// The network by name, with a small resolver and server on the host's loopback. The attacks are in Tests/Conformance/network.py.

import Foundation
import Testing

extension Integration {
    @Suite struct NetworkTests {
        let ground: Ground
        init() throws { ground = try Ground() }

        /// DNS that leads good.test and other.test to 127.0.0.1, and a server there that greets and echoes; its first words are their ports.
        private static let server = """
            import socket, struct, sys, threading
            dns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); dns.bind(("127.0.0.1", 0))
            tcp = socket.create_server(("127.0.0.1", 0))
            print(dns.getsockname()[1], tcp.getsockname()[1], flush=True)
            def names():
                while True:
                    q, who = dns.recvfrom(512); known = b"\\x04test" in q; a = q[q.index(b"\\x04test") + 7] == 1 if known else False
                    head = q[:2] + struct.pack("!HHHHH", 0x8180 if known else 0x8183, 1, int(a), 0, 0)
                    dns.sendto(head + q[12:] + (b"\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\0\\x3c\\0\\4\\x7f\\0\\0\\1" if a else b""), who)
            threading.Thread(target=names, daemon=True).start()
            def serve(s):
                with s:
                    s.sendall(b"hello\\n")
                    while d := s.recv(65536): s.sendall(d)
            def accept():
                while True: threading.Thread(target=serve, args=(tcp.accept()[0],), daemon=True).start()
            threading.Thread(target=accept, daemon=True).start()
            sys.stdin.read()
            """

        private static let client = """
            import socket, sys
            def go(host, port):
                try:
                    with socket.create_connection((host, port), 10) as s:
                        s.sendall(b"ping\\n"); s.shutdown(socket.SHUT_WR); d = b""
                        while p := s.recv(100): d += p
                        return d.decode().split()
                except OSError as e: return type(e).__name__
            for word in sys.argv[1:]:
                host, _, port = word.rpartition(":"); print(word, go(host, int(port)))
            """

        private func served(_ body: (_ names: Int, _ port: Int) throws -> Void) throws {
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/usr/bin/python3")
            process.arguments = ["-c", Self.server]
            let (input, output) = (Pipe(), Pipe())
            (process.standardInput, process.standardOutput) = (input, output)
            try process.run()
            defer {
                try? input.fileHandleForWriting.close()
                process.waitUntilExit()
            }
            var line = ""
            while !line.hasSuffix("\n") {
                let more = output.fileHandleForReading.availableData
                if more.isEmpty { break }
                line += String(decoding: more, as: UTF8.self)
            }
            let ports = line.split(whereSeparator: \.isWhitespace).compactMap { Int($0) }
            try #require(ports.count == 2, "the server says \(line)")
            try body(ports[0], ports[1])
        }

        private func entries(_ kind: String) throws -> [JSON] {
            try ground.record()["network"].array.filter { $0["kind"].string == kind }
        }

        @Test func anAllowedNameAndNothingElse() throws {
            try served { names, port in
                let policy = try ground.policy(
                    "[network]\nmode = \"allow\"\nallow = [\"good.test:\(port)\", \"127.0.0.1:\(port)\"]\nresolvers = [\"127.0.0.1:\(names)\"]\n"
                )
                let words = [
                    "good.test:\(port)", "GOOD.test.:\(port)", "other.test:\(port)", "good.test:1", "9.9.9.9:\(port)",
                ]
                let ended = try ground.run(
                    raw: (policy + ["--python", Self.client] + words).map(bytes))
                #expect(
                    ended.text
                        == """
                        good.test:\(port) ['hello', 'ping']
                        GOOD.test.:\(port) ['hello', 'ping']
                        other.test:\(port) gaierror
                        good.test:1 ConnectionRefusedError
                        9.9.9.9:\(port) OSError

                        """, "\(ended.errorText)")
                let connects = try entries("connect")
                #expect(connects.count == 4)
                let first = connects[0]
                #expect(
                    first["name"].string == "good.test" && first["address"].string == "127.0.0.1"
                        && first["port"].int == port)
                #expect(
                    first["sent_bytes"].int == 5 && first["received_bytes"].int == 11
                        && first["decision"].string == "allow")
                #expect(
                    first["rule"].string?.hasPrefix("good.test:\(port) (") == true
                        && first["rule"].string?.hasSuffix("policy.toml:5:10)") == true)
                #expect(connects.suffix(2).allSatisfy { $0["decision"].string == "deny" })
                #expect(connects[3]["name"].value == nil && connects[3]["errno"].string == "ENETUNREACH")
                #expect(
                    try entries("lookup").contains {
                        $0["name"].string == "other.test" && $0["decision"].string == "deny"
                    })
                let rules = try ground.record()["violations"].array.compactMap { $0["rule"].string }
                #expect(rules.contains("lookup(other.test)") && rules.contains("connect(9.9.9.9:\(port))"))
                #expect(
                    ended.errorText.contains("(network.allow: no rule covers it): other.test")
                        && ended.errorText.contains("--allow-host other.test"), "\(ended.errorText)")
                let shown = try ground.run("show", "last")
                #expect(
                    shown.text.contains("allow connect good.test:\(port) at 127.0.0.1:\(port)")
                        || shown.text.contains("allow connect good.test:\(port)"))
            }
        }

        @Test func theOptionOpensAndTheLockHolds() throws {
            try served { names, port in
                let open = try ground.policy("[network]\nresolvers = [\"127.0.0.1:\(names)\"]\n")
                let options = ["--allow-host", "good.test:\(port)", "--allow-host", "127.0.0.1:\(port)"]
                let ended = try ground.run(
                    raw: (open + options + ["--python", Self.client, "good.test:\(port)"]).map(bytes))
                #expect(ended.text == "good.test:\(port) ['hello', 'ping']\n", "\(ended.errorText)")
                #expect(try entries("connect").first?["rule"].string == "good.test:\(port) (--allow-host)")
                let locked = try ground.policy("lock = [\"network\"]\n")
                let refused = try ground.run(raw: (locked + options + ["--cmd", "true"]).map(bytes))
                #expect(refused.code == 125 && refused.errorText.contains("locked"))
            }
        }

        @Test func guardedLetsNamesThroughAndStaysClosedAtHome() throws {
            try served { names, port in
                let policy = try ground.policy(
                    "[network]\nmode = \"guarded\"\nallow = [\"127.0.0.1:\(port)\"]\ndeny = [\"other.test\"]\nresolvers = [\"127.0.0.1:\(names)\"]\n"
                )
                let words = [
                    "any.test:\(port)", "other.test:\(port)", "any.test:1", "169.254.169.254:80", "10.0.0.1:80",
                ]
                let ended = try ground.run(raw: (policy + ["--python", Self.client] + words).map(bytes))
                let verdicts = ended.text.split(separator: "\n").map { $0.drop { $0 != " " }.dropFirst() }
                #expect(
                    verdicts == [
                        "['hello', 'ping']", "gaierror", "ConnectionRefusedError", "ConnectionRefusedError",
                        "ConnectionRefusedError",
                    ], "\(ended.text) \(ended.errorText)")
            }
        }

        @Test func withoutANetworkBareAddressesAreStillRecorded() throws {
            try ground.run("--python", Self.client, "9.9.9.9:443")
            let found = try #require(try entries("connect").first)
            #expect(
                found["address"].string == "9.9.9.9" && found["decision"].string == "deny"
                    && found["rule"].string == "network.mode = \"none\"")
        }

        @Test func theHostsNetworkIsDeclared() throws {
            let policy = try ground.policy("[network]\nmode = \"host\"\n")
            let ended = try ground.run(raw: (policy + ["--cmd", "cat /proc/net/dev | wc -l"]).map(bytes))
            if ended.code == 125, ended.errorText.contains("Landlock ABI") { return }
            #expect(ended.code == 0 && ended.errorText.contains("host's own network"))
            let control = try ground.record()["enforcement"]["controls"].array.first { $0["name"].string == "network" }
            #expect(control?["held"].bool == false)
            let denied = try ground.policy("[network]\nmode = \"host\"\ndeny = [\"evil.test\"]\n")
            #expect(try ground.run(raw: (denied + ["--cmd", "true"]).map(bytes)).code == 125)
            let sealed = try ground.policy("require = \"sealed\"\n[network]\nmode = \"host\"\n")
            #expect(try ground.run(raw: (sealed + ["--cmd", "true"]).map(bytes)).code == 125)
        }

        @Test func thePlanShowsIt() throws {
            let policy = try ground.policy(
                "[network]\nmode = \"allow\"\nallow = [\"good.test\", \"10.1.2.0/24:5432\"]\n")
            let plan = try Ground.document(
                try ground.run(raw: (["plan", "--json"] + policy + ["--cmd", "true"]).map(bytes)))
            #expect(plan["network"]["mode"].string == "allow" && plan["network"]["routes"].array.count == 2)
            let text = try ground.run(raw: (["plan"] + policy + ["--cmd", "true"]).map(bytes)).text
            #expect(text.contains("allow    10.1.2.0/24:5432 ("))
        }

        // MARK: - explain

        /// The same policy, asked and then run.
        @Test func explainedAsInARun() throws {
            try served { names, port in
                let served = "resolvers = [\"127.0.0.1:\(names)\"]\n"
                let policies = [
                    "mode = \"allow\"\nallow = [\"good.test:\(port)\", \"127.0.0.1:\(port)\"]\n",
                    "mode = \"allow\"\nallow = [\"*.test:\(port)\"]\n",
                    "mode = \"allow\"\nallow = [\"*.test\", \"127.0.0.0/8:\(port)\"]\ndeny = [\"other.test\"]\n",
                    "mode = \"guarded\"\ndeny = [\"other.test\"]\n", "mode = \"none\"\n",
                    "mode = \"guarded\"\nallow = [\"127.0.0.1:\(port)\"]\n",
                ]
                let words = ["good.test:\(port)", "other.test:\(port)", "good.test:1", "10.0.0.1:80", "good.other:80"]
                for text in policies {
                    let options = try ground.policy("[network]\n" + text + served)
                    for word in words {
                        let told = try ground.run(
                            raw: (["policy", "explain", "--json"] + options + ["--connect", word]).map(bytes))
                        let one = try Ground.document(told)["judgements"][0]
                        let ran = try ground.run(raw: (options + ["--python", Self.client, word]).map(bytes))
                        let refused = try ground.record()["network"].array.contains { $0["decision"].string == "deny" }
                        let denied = refused || text.contains("none")
                        #expect(
                            (one["decision"].string == "deny") == denied,
                            "\(text)\(word): explain \(one["decision"].string ?? "-"), the run \(ran.text)")
                        #expect(told.code == (denied ? 1 : 0))
                        guard denied, let option = one["option"].string else { continue }
                        // What it says opens it, or the next thing that is closed.
                        let opened = try ground.run(
                            raw: (["policy", "explain", "--json"] + options
                                + option.split(separator: " ").map(String.init)
                                + ["--connect", word]).map(bytes))
                        let next = try Ground.document(opened)["judgements"][0]
                        #expect(
                            next["decision"].string == "allow" || next["option"].string != option,
                            "\(text)\(word): \(option)")
                    }
                }
                let closed = try ground.policy("[network]\nmode = \"allow\"\nallow = [\"*.test:\(port)\"]\n" + served)
                let told = try ground.run(
                    raw: (["policy", "explain", "--json"] + closed + ["--connect", "good.test:\(port)"]).map(bytes))
                let one = try Ground.document(told)["judgements"][0]
                #expect(one["rule"].string?.hasPrefix("address class: loopback") == true)
                #expect(one["option"].string == "--allow-host 127.0.0.1:\(port)")
                _ = try ground.run(raw: (closed + ["--python", Self.client, "good.test:\(port)"]).map(bytes))
                let why = try ground.run("why", "last", "--json")
                #expect(try Ground.document(why)["reasons"][0]["option"].string == "--allow-host 127.0.0.1:\(port)")
            }
        }

        // MARK: - unknown = "approve"

        /// Looks names up, so that what is asked doesn't hang on what listens at ports 80 and 443 here.
        private static let look = """
            import socket, sys
            for name in sys.argv[1:]:
                try: print(name, socket.getaddrinfo(name, 80, socket.AF_INET)[0][4][0].startswith("198.18."), flush=True)
                except OSError as e: print(name, "no", flush=True)
            """

        private func asking(_ names: Int, _ answer: String, via: String = "command", more: String = "") throws
            -> [String]
        {
            try ground.write("\(ground.directory)/ask", "#!/bin/sh\n\(answer)\n", mode: 0o755)
            return try ground.policy(
                "[network]\nmode = \"allow\"\nallow = [\"good.test:5\", \"127.0.0.1:80\"]\nunknown = \"approve\"\nresolvers = [\"127.0.0.1:\(names)\"]\n"
                    + "[approval]\nvia = \"\(via)\"\n" + (via == "command" ? "command = [\"./ask\"]\n" : "")
                    + "timeout = \"2s\"\n" + more)
        }

        private func asked() throws -> [JSON] {
            try ground.record()["network"].array.filter { $0["approval"]["answer"].string != nil }
        }

        @Test func aNameIsAskedAboutOnce() throws {
            try served { names, port in
                let log = "\(ground.directory)/log"
                let ended = try ground.run(
                    raw: (try asking(names, "cat >> \(log); sleep 1; echo '{\"decision\": \"run\", \"by\": \"me\"}'")
                        + ["--python", Self.look, "a.test", "A.test.", "good.test", "a.test", "b.nothere"]).map(bytes))
                #expect(
                    ended.text == "a.test True\nA.test. True\ngood.test True\na.test True\nb.nothere no\n",
                    "\(ended.errorText)")
                let requests = String(decoding: ground.read(log) ?? [], as: UTF8.self).split(separator: "\n")
                #expect(
                    requests.count == 2 && requests[0].contains("\"kind\":\"name\"")
                        && requests[0].contains("\"name\":\"a.test\""))
                #expect(requests[0].contains("\"ports\":[80,443]") && requests[0].contains("policy.toml:6:"))
                let all = try asked()
                #expect(all.map { $0["name"].string } == ["a.test", "b.nothere"])
                #expect(all[0]["decision"].string == "approve" && all[0]["approval"]["by"].string == "me")
                #expect(
                    all[0]["approval"]["via"].string == "command"
                        && (all[0]["approval"]["duration_ns"].int ?? 0) > 900_000_000)
                // A yes is for two ports, and opens no closed class.
                let denied = try ground.run(
                    raw: (try asking(names, "echo '{\"decision\": \"run\"}'")
                        + ["--python", Self.client, "a.test:\(port)", "a.test:443", "good.test:80"]).map(bytes))
                #expect(
                    denied.text.split(separator: "\n").allSatisfy { $0.hasSuffix("ConnectionRefusedError") },
                    "\(denied.text)")
                let rules = try entries("connect").filter { $0["decision"].string == "deny" }.map {
                    $0["rule"].string ?? ""
                }
                #expect(
                    rules.count == 3 && rules[0].hasSuffix("a yes is for the ports 80 and 443")
                        && rules[1].hasPrefix("address class: loopback")
                        && rules[2] == "network.allow: no rule covers the port",
                    "\(rules)")
            }
        }

        @Test func onceIsOneConnection() throws {
            try served { names, _ in
                let log = "\(ground.directory)/log"
                let ended = try ground.run(
                    raw: (try asking(names, "echo x >> \(log); echo '{\"decision\": \"once\"}'")
                        + ["--python", Self.client, "a.test:80", "a.test:80"]).map(bytes))
                #expect(ended.code == 0)
                #expect(ground.read(log)?.count == 4, "asked again for the second connection")
                let connects = try entries("connect").filter { $0["name"].string == "a.test" }
                #expect(
                    connects.count == 2 && connects.allSatisfy { $0["decision"].string == "allow" }, "\(ended.text)")
            }
        }

        @Test(arguments: [
            "echo '{\"decision\": \"deny\"}'", "echo garbage", "true", "echo '{\"decision\": \"run\"}'; exit 1",
            "echo '{\"decision\": \"run\"}'; kill -9 $$", "exec sleep 100", "head -c 100000 /dev/zero",
        ])
        func anythingElseIsNo(answer: String) throws {
            try served { names, _ in
                let log = "\(ground.directory)/log"
                let ended = try ground.run(
                    raw: (try asking(names, "echo x >> \(log); \(answer)") + [
                        "--python", Self.look, "a.test", "a.test",
                    ])
                    .map(bytes), deadline: 30)
                #expect(ended.text == "a.test no\na.test no\n", "\(ended.text)")
                #expect(ground.read(log)?.count == 2, "a no holds for the run")
                #expect(try asked().map { $0["approval"]["answer"].string } == ["deny"])
                let no = try asked()[0]
                #expect(no["decision"].string == "deny" && no["errno"].string == "ENOENT")
                #expect(ended.errorText.contains("network.unknown") && ended.errorText.contains("--allow-host a.test"))
            }
        }

        @Test func nobodyToAsk() throws {
            try served { names, _ in
                for via in ["tty", "deny"] {
                    let ended = try ground.run(
                        raw: (try asking(names, "", via: via) + ["--python", Self.look, "a.test"]).map(bytes))
                    #expect(ended.text == "a.test no\n" && ended.seconds < 10)
                    #expect(try asked()[0]["approval"]["via"].string == via)
                }
            }
        }

        @Test func theWallStandsStillAndTheQuestionsEnd() throws {
            try served { names, _ in
                let slow = try ground.run(
                    raw: (try asking(
                        names, "sleep 1.8; echo '{\"decision\": \"run\"}'", more: "[limits]\nwall = \"1500ms\"\n")
                        + ["--python", Self.look, "a.test"]).map(bytes))
                #expect(slow.code == 0 && slow.text == "a.test True\n", "\(slow.code) \(slow.errorText)")
                let many =
                    "import socket\nfor i in range(105):\n  try: socket.gethostbyname(f'n{i}.test')\n  except OSError: pass\n"
                #expect(
                    try ground.run(raw: (try asking(names, "", via: "deny") + ["--python", many]).map(bytes)).code == 0)
                #expect(try asked().count == 100)
                let rest = try entries("lookup").filter {
                    $0["rule"].string?.contains("more than 100 questions") == true
                }
                #expect(rest.count == 5)
            }
        }

        @Test func whatIsNoNameIsNeverAskedAbout() throws {
            try served { names, _ in
                let log = "\(ground.directory)/log"
                let raw = """
                    import socket, struct
                    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(5)
                    for label in [b"\\x1b[2Jevil", b"a b", b"a\\nrule x", b"'; true", b"\\xff\\xfe", b"a.b"]:
                        s.sendto(b"xy\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0" + bytes([len(label)]) + label + b"\\4test\\0\\0\\1\\0\\1", ("198.18.0.1", 53))
                        print(s.recv(512)[3] & 15)
                    """
                let ended = try ground.run(
                    raw: (try asking(names, "echo x >> \(log); echo '{\"decision\": \"run\"}'") + ["--python", raw])
                        .map(bytes))
                #expect(ended.text == String(repeating: "3\n", count: 6), "\(ended.text) \(ended.errorText)")
                #expect(ground.read(log) == nil)
                #expect(!ended.errorText.contains("\u{1B}") && ended.complaints.count == 1)
            }
        }

        @Test func whereNobodyCouldBeAsked() throws {
            let told = try ground.run(
                raw: (try ground.policy("[network]\nmode = \"guarded\"\nunknown = \"approve\"\n") + ["--cmd", "true"])
                    .map(bytes))
            #expect(
                told.code == 125 && told.errorText.contains("policy.toml:5:") && told.errorText.contains("asks nobody"))
            let missing = try ground.run(
                raw: (try ground.policy(
                    "[network]\nmode = \"allow\"\nunknown = \"approve\"\n[approval]\nvia = \"command\"\ncommand = [\"./nosuch\"]\n"
                )
                    + ["--cmd", "true"]).map(bytes))
            #expect(missing.code == 125 && missing.errorText.contains("nosuch"))
        }
    }
}
