// Pure. Name × address × port × rules, and the bytes that a hostile command can send.

import AegixPolicy
import AegixSystem
import Testing

@testable import AegixNetwork
@testable import AegixPlan

private func decision(
    _ mode: Policy.Network.Mode = .allow, allow: [String] = [], deny: [String] = []
) throws -> NetworkDecision {
    func rules(_ list: [String]) throws -> [Policy.HostRule] {
        try list.map { .init(try HostPattern($0), origin: "p.toml:1:1") }
    }
    return NetworkDecision(
        NetworkPlan(
            mode: mode, allow: try rules(allow), deny: try rules(deny), inspect: true, resolvers: [], routes: []))
}

private func address(_ text: String) throws -> HostAddress { try #require(HostAddress(Substring(text))) }

struct DecisionTests {
    @Test func namesAndPorts() throws {
        let rules = try decision(allow: ["a.b", "*.c.d:22"], deny: ["x.c.d"])
        #expect(rules.lookup("a.b").isAllowed && rules.lookup("y.c.d").isAllowed)
        for name in ["b", "x.a.b", "c.d", "x.c.d", "a.bc"] { #expect(!rules.lookup(name).isAllowed) }
        #expect(rules.connect("a.b", port: 80).isAllowed && rules.connect("a.b", port: 443).isAllowed)
        #expect(!rules.connect("a.b", port: 22).isAllowed)
        #expect(rules.connect("y.c.d", port: 22) == .allow("*.c.d:22 (p.toml:1:1)"))
        #expect(!rules.connect("y.c.d", port: 443).isAllowed)
        #expect(rules.connect("x.c.d", port: 22) == .deny("network.deny: x.c.d (p.toml:1:1)"))
    }

    @Test(arguments: [
        "A.B", "a.b.", "A.b.",
    ])
    func spellingsOfAName(_ text: String) throws {
        #expect(HostName.canonical(Bytes(text)) == "a.b")
    }

    @Test(arguments: [
        "127.0.0.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "1.2.3.0x4", "a b", "a\u{0}b", "..", "", "-a",
        "münchen",
        String(repeating: "a", count: 64), String(repeating: "aa.", count: 90),
    ])
    func whatIsNoHostName(_ text: String) throws {
        #expect(HostName.canonical(Bytes(text)) == nil)
        for mode in [Policy.Network.Mode.allow, .guarded] {
            let rules = try decision(mode, allow: ["*.a", "127.0.0.1"])
            #expect(!rules.lookup(HostName.canonical(Bytes(text))).isAllowed)
        }
    }

    @Test func closedUnlessNamed() throws {
        let rules = try decision(allow: ["a.b:80", "10.1.0.0/16:80"])
        let name = rules.connect("a.b", port: 80)
        #expect(rules.address(try address("9.9.9.9"), port: 80, isOwn: false, name: name).isAllowed)
        #expect(!rules.address(try address("9.9.9.9"), port: 80, isOwn: true, name: name).isAllowed)
        #expect(rules.address(try address("10.1.2.3"), port: 80, isOwn: true, name: name).isAllowed)
        for text in ["10.2.0.1", "127.0.0.1", "169.254.169.254", "::1", "::ffff:10.2.0.1", "::ffff:9.9.9.9", "fd00::1"]
        {
            let verdict = rules.address(try address(text), port: 80, isOwn: false, name: name)
            #expect(verdict.isAllowed == (text == "::ffff:9.9.9.9"), "\(text): \(verdict)")
        }
        // Bare: only what a rule names.
        #expect(rules.address(try address("10.1.2.3"), port: 80, isOwn: false, name: nil).isAllowed)
        #expect(rules.address(try address("::ffff:10.1.2.3"), port: 80, isOwn: false, name: nil).isAllowed)
        #expect(!rules.address(try address("10.1.2.3"), port: 443, isOwn: false, name: nil).isAllowed)
        #expect(!rules.address(try address("9.9.9.9"), port: 80, isOwn: false, name: nil).isAllowed)
    }

    @Test func guarded() throws {
        let rules = try decision(.guarded, allow: ["10.1.2.3:5432"], deny: ["evil.test", "9.9.9.9", "half.test:22"])
        #expect(rules.lookup("any.thing").isAllowed && !rules.lookup("evil.test").isAllowed)
        #expect(rules.lookup("half.test").isAllowed && !rules.connect("half.test", port: 22).isAllowed)
        #expect(rules.connect("any.thing", port: 12345).isAllowed)
        let any = rules.connect("any.thing", port: 5432)
        #expect(rules.address(try address("8.8.8.8"), port: 53, isOwn: false, name: nil).isAllowed)
        #expect(rules.address(try address("10.1.2.3"), port: 5432, isOwn: false, name: any).isAllowed)
        for text in ["9.9.9.9", "10.1.2.4", "169.254.169.254", "192.168.0.1", "fe80::1"] {
            #expect(!rules.address(try address(text), port: 5432, isOwn: false, name: any).isAllowed)
            #expect(!rules.address(try address(text), port: 5432, isOwn: false, name: nil).isAllowed)
        }
    }
}

struct DNSMessageTests {
    private func question(_ name: [String], type: UInt16 = 1) -> Bytes {
        var out: Bytes = [0xAB, 0xCD, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]
        for label in name { out += [UInt8(label.utf8.count)] + Bytes(label) }
        return out + [0, UInt8(type >> 8), UInt8(type & 0xFF), 0, 1]
    }

    @Test func aQuestionAndItsAnswers() throws {
        let asked = try DNSQuestion(question(["Good", "test"]))
        #expect(asked.name == Bytes("Good.test") && asked.type == 1 && asked.isInternet && asked.id == 0xABCD)
        let answer = DNSAnswer.address([198, 18, 0, 2], ttl: 60).bytes(to: asked)
        #expect(Array(answer[..<12]) == [0xAB, 0xCD, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0])
        #expect(answer.suffix(16) == [0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 198, 18, 0, 2])
        #expect(DNSAnswer.noSuchName.bytes(to: asked)[3] & 15 == 3)
    }

    @Test func aDotInALabelIsNoSeparator() throws {
        let asked = try DNSQuestion(question(["good.test"]))
        #expect(HostName.canonical(asked.name) == nil)
    }

    @Test func noBytesCrashIt() {
        var random = SystemRandomNumberGenerator()
        let good = question(["a", "b", "c"])
        for round in 0..<50_000 {
            var bytes = round % 2 == 0 ? good : (0..<Int.random(in: 0...64)).map { _ in UInt8.random(in: 0...255) }
            for _ in 0..<Int.random(in: 0...4) where !bytes.isEmpty {
                bytes[Int.random(in: 0..<bytes.count)] = UInt8.random(in: 0...255, using: &random)
            }
            if Bool.random() { bytes = Bytes(bytes.prefix(Int.random(in: 0...bytes.count))) }
            do throws(DNSQuestion.Failure) {
                let asked = try DNSQuestion(bytes)
                _ = DNSAnswer.nothing.bytes(to: asked)
                _ = HostName.canonical(asked.name)
            } catch {}
        }
    }
}

struct FirstBytesTests {
    private func hello(_ names: [String]) -> Bytes {
        func sized(_ bytes: Bytes, _ width: Int) -> Bytes {
            (0..<width).map { UInt8(truncatingIfNeeded: bytes.count >> (8 * (width - 1 - $0))) } + bytes
        }
        var list = Bytes()
        for name in names { list += [0] + sized(Bytes(name), 2) }
        let sni: Bytes = names.isEmpty ? [] : [0, 0] + sized(sized(list, 2), 2)
        var body = Bytes(repeating: 3, count: 34) + [0]
        body += sized([0x13, 1], 2) + sized([0], 1)
        body += sized([0, 23, 0, 0] + sni, 2)
        let record: Bytes = [1] + sized(body, 3)
        return [0x16, 3, 1] + sized(record, 2)
    }

    @Test func namesOfTLS() {
        let whole = hello(["good.test"])
        #expect(FirstBytes.read(whole) == .names([Bytes("good.test")]))
        #expect(FirstBytes.read(hello([])) == .nameless)
        #expect(FirstBytes.read(hello(["a", "b"])) == .names([Bytes("a"), Bytes("b")]))
        for count in 0..<whole.count { #expect(FirstBytes.read(Bytes(whole[..<count])) == .more) }
        #expect(FirstBytes.read([0x16, 3, 1, 0, 0]) == .unclear)
    }

    @Test(arguments: [
        ("GET / HTTP/1.1\r\nHost: a.b\r\n\r\n", ["a.b"]), ("GET / HTTP/1.1\nhost:a.b:80\n\n", ["a.b"]),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost : b\r\n\r\n", ["a", "b"]),
        ("GET http://u@c.d:1/x HTTP/1.1\r\nHost: a\r\n\r\n", ["c.d", "a"]),
        ("CONNECT c.d:443 HTTP/1.1\r\n\r\n", ["c.d"]), ("\r\n\nPOST / HTTP/1.0\r\nHost: [::1]:80\r\n\r\n", ["::1"]),
    ])
    func namesOfHTTP(_ text: String, _ names: [String]) {
        #expect(FirstBytes.read(Bytes(text)) == .names(names.map { Bytes($0) }))
        for count in 0..<text.utf8.count { #expect(FirstBytes.read(Bytes(text.utf8.prefix(count))) == .more) }
    }

    @Test(arguments: [
        "SSH-2.0-x\r\n", "EHLO x\r\n", "PING\r\n", "\u{0}\u{0}\u{0}\u{8}", "GET / HTTP/1.0\r\n\r\n", "003agit",
        "GET /\r\n",
    ])
    func otherProtocols(_ text: String) {
        #expect(FirstBytes.read(Bytes(text)) == .nameless)
    }

    @Test func endlessBeginningsAreUnclear() {
        #expect(
            FirstBytes.read(Bytes("GET / HTTP/1.1\r\n") + Bytes(repeating: 0x61, count: FirstBytes.most)) == .unclear)
    }

    @Test func noBytesCrashIt() {
        let seeds = [hello(["good.test"]), Bytes("GET http://a/ HTTP/1.1\r\nHost: [a\r\n\r\n")]
        for round in 0..<50_000 {
            var bytes = seeds[round % 2]
            for _ in 0..<Int.random(in: 0...6) { bytes[Int.random(in: 0..<bytes.count)] = UInt8.random(in: 0...255) }
            _ = FirstBytes.read(Bytes(bytes.prefix(Int.random(in: 0...bytes.count))))
        }
    }
}
