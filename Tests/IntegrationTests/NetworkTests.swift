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
                #expect(ended.errorText.contains("lookup(other.test)"))
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
    }
}
