// Pure. Errors of a policy's text: all at once, with their place and the way out.

import AegixSystem
import Testing

@testable import AegixPolicy

struct PolicyReaderTests {
    @Test func nearestSpellingOfAKeyATableAndAValue() {
        #expect(
            errors("version = 1\n[limits]\nmemroy = \"1GiB\"") == [
                "3:1: unknown key `memroy` in [limits]. Did you mean `memory`?"
            ])
        #expect(
            errors("version = 1\n[limit]\nwall = \"1s\"") == [
                "2:2: unknown key `limit` at the top of the policy. Did you mean `limits`?"
            ])
        #expect(errors("version = 1\n[workspace]\nmode = \"layr\"").first?.hasSuffix("Did you mean \"layer\"?") == true)
        #expect(
            errors("version = 1\nwall = \"1s\"") == [
                "2:1: unknown key `wall` at the top of the policy. It belongs in [limits]"
            ])
        #expect(
            errors("version = 1\n[capabilities]\nkeep = [\"net_bind_servce\"]").first?.hasSuffix(
                "Did you mean \"net_bind_service\"?") == true)
    }

    @Test func aLongListOfPathsIsReadOnceEach() throws {
        let paths = (0..<20_000).map { "\"**/a\($0 / 2)/x\"" }.joined(separator: ", ")
        let began = ContinuousClock.now
        let draft = try PolicyReader.read(Bytes("version = 1\n[files]\ndeny = [\(paths)]"), source: "p.toml")
        #expect(ContinuousClock.now - began < .seconds(20))
        let lengths = draft.settings.values.compactMap { setting in
            if case .paths(let rules) = setting.value { return rules.count }
            return nil
        }
        #expect(lengths == [10_000])
    }

    /// Texts that ended the program, each found by `make fuzz`: toml++ asserts what it hasn't looked at.
    @Test func aHeaderWithoutAKeyIsAnError() {
        for (text, place) in [("[#", "1:2"), ("[[#", "1:3"), ("version = 1\n[ #x]", "2:3"), ("[=a]", "1:2")] {
            let found = errors(text)
            #expect(found.count == 1 && found[0].hasPrefix(place), "\(text): \(found)")
        }
        for text in ["[\0", "version = 1 # \u{1}", "version = 1\nname = \"a\u{7F}\""] {
            #expect(errors(text).first?.contains("control character") == true, "\(errors(text))")
        }
        #expect(errors("version = 1\r\n# a\ttab\r\nname = \"x\"\r\n").isEmpty)
    }

    @Test func allErrorsAtOnceInTheOrderOfTheText() {
        let found = errors(
            """
            version = 2
            require = "seald"
            [env]
            pass = ["*", "1A"]
            [limits]
            wall = "12x"
            open_files = -1
            grace = "none"
            [network]
            allow = ["a b"]
            """)
        #expect(
            found.map { $0.prefix { $0 != " " } } == [
                "1:11:", "2:11:", "4:9:", "4:14:", "6:8:", "7:14:", "8:9:", "10:10:",
            ])
        #expect(
            found[4]
                == "6:8: limits.wall is \"12x\", and must be a number with ms, s, m, h or d, such as \"90s\", or \"none\" or 0 for no limit"
        )
    }

    @Test(arguments: [
        ("a = 1", "1:1"), ("version = 1\nversion = 1", "2:1"), ("version = ", "1:"), ("[a\n", "1:"), ("\u{0}", "1:1"),
    ])
    func syntaxErrorsHaveAPlace(_ text: String, _ place: String) {
        #expect(errors(text).first?.hasPrefix(place) == true)
    }

    /// What the library asserts of a text is no reason to end the program.
    @Test(arguments: ["[!", "[\u{7f}", "a.\0", "[[\0", "[\u{1}", "[é]", "[[", "a = [[!]]", "\0"])
    func whatNoKeyBeginsWith(_ text: String) {
        let found = errors("version = 1\n" + text)
        #expect(found.count == 1 && found.first?.hasPrefix("2:") == true, "\(found)")
    }

    @Test func versionIsNeeded() {
        #expect(errors("name = \"x\"") == ["1:1: `version` is missing. A policy begins with `version = 1`"])
        #expect(errors("") == ["1:1: `version` is missing. A policy begins with `version = 1`"])
    }

    @Test func whatCantBeMeantTogether() {
        func one(_ text: String, _ part: String) {
            let found = errors("version = 1\n" + text)
            #expect(found.count == 1 && found.first?.contains(part) == true, "\(text): \(found)")
        }
        one("[network]\nmode = \"guarded\"\nunknown = \"approve\"", "4:11: network.unknown = \"approve\" asks nobody")
        one("[network]\nmode = \"host\"\nunknown = \"approve\"", "asks nobody")
        #expect(errors("version = 1\n[network]\nmode = \"allow\"\nunknown = \"approve\"") == [])
        #expect(errors("version = 1\n[network]\nunknown = \"approve\"") == [])
    }

    @Test func whatAsksForNothingIsAccepted() {
        #expect(
            errors(
                """
                version = 1
                lock = []
                [workspace]
                backing = "overlay"
                [commands]
                default = "allow"
                rule = []
                [network]
                mode = "none"
                allow = []
                deny = []
                unknown = "deny"
                [limits]
                memory = "none"
                pids = 0
                [secrets]
                [artifacts]
                collect = []
                [approval]
                [audit]
                detail = "processes"
                inputs = "none"
                sign = ""
                [determinism]
                """) == [])
    }

    @Test(arguments: [
        "match = [\"git pull\"]", "not_match = [\"git push origin\"]", "match = [\"git 'push\"]", "mtach = []",
        "decision = \"no\"",
    ])
    func rulesAreCheckedWithTheirExamples(_ line: String) {
        let head = line.hasPrefix("decision") ? "" : "decision = \"deny\"\n"
        let found = errors("version = 1\n[[commands.rule]]\nargv = [\"git\", \"push\", \"**\"]\n\(head)\(line)")
        #expect(found.count == 1)
    }

    @Test func examplesThatHoldAreNoErrorOfTheirOwn() {
        let found = errors(
            "version = 1\n[[commands.rule]]\nargv = [\"git\", \"push\", \"**\"]\ndecision = \"deny\"\n"
                + "match = [\"git push origin main\", \"/usr/bin/git push\"]\nnot_match = [\"git status\"]")
        #expect(found == [])
    }

    @Test(arguments: [
        "\"../x\"", "\"\"", "\"~root/x\"", "\"a**b\"", "\"[a\"", "\"a\\\\\"", "3", "\"a\\u0000b\"",
        "{ base64 = \"!\" }",
    ])
    func pathsThatCantMatch(_ item: String) {
        #expect(errors("version = 1\n[files]\nread = [\(item)]").count == 1)
        #expect(errors("version = 1\n[files]\nread = [\(item)]").first?.hasPrefix("3:9: ") == true)
    }

    @Test(arguments: [
        "pypi.org:443", "*.pythonhosted.org:443", "10.1.2.0/24:5432", "[2001:db8::1]:80", "::1", "fc00::/7",
        "localhost", "1.2.3.4",
        "[2001:db8::]/32:443",
    ])
    func hosts(_ text: String) throws { _ = try HostPattern(text) }

    @Test(arguments: [
        "", "a b", "https://x", "*.*.org", "*", "a..b", "1.2.3", "010.1.2.3", "1.2.3.4/33", "x:0", "x:65536", "x:http",
        "[::1",
        "::ffff:1.2.3.4", "10.1.2.3/24", "::1::", "-a.org", "1.2.3.256", "0x7f.1", "[::1]x", "x:+1", "12345::",
    ])
    func noHosts(_ text: String) { #expect(throws: HostPattern.Defect.self) { try HostPattern(text) } }

    @Test func aStrangersFileIsNeverQuoted() {
        let secret = "hunter2-hunter2"
        let texts = [
            "root:$6$\(secret):19000:0:99999:7:::\n", "API_KEY = \"\(secret)\"\n",
            "version = 1\nname = \"\(secret) x\"\n",
            "version = 1\n[limits]\nwall = \"\(secret)\"", "version = \"\(secret)\"",
            "version = 1\n[files]\nread = [\"../\(secret)\"]",
            "version = 1\n[\"\(secret) and more\"]\n",
            "version = 1\n[env]\nset = { A = 1, \"\(secret) b\" = \"\(secret)\" }",
            "version = 1\n[env]\npass = [\"\(secret)\"]", "a = '\(secret)'\na = '\(secret)'", "\u{7f}ELF\(secret)\u{1}",
            "version = 1\nrequire = \"\(secret)\"", "version = 1\n[network]\nallow = [\"\(secret)/x\"]",
            "version = 1\n[files]\nread = [\"/\(secret)\"]\nwrite = [\"/\(secret)\"]",
        ]
        for text in texts {
            let found = errors(text, quotes: false)
            #expect(!found.isEmpty)
            #expect(!found.contains { $0.contains("hunter2") }, "\(found)")
        }
    }

    @Test func hostileDocumentsAreBounded() {
        let dots = String(repeating: "a.", count: 200_000) + "a = 1"
        #expect(errors(dots).count == 1)
        #expect(errors("x = " + String(repeating: "[", count: 100_000)).count == 1)
        #expect(errors(String(repeating: "#", count: 1 << 21)).count == 1)
        let nested = (0..<8).map { _ in "[{" + String(repeating: "a.", count: 1000) + "a = \n" }.joined()
        #expect(!errors("x = " + nested).isEmpty)
        let many = (0..<5000).map { "k\($0) = 1\n" }.joined()
        #expect(errors(many).count == 100)
    }

    @Test func quantities() {
        #expect(TimeSpan.parse("500ms") == 500_000_000)
        #expect(TimeSpan.parse("1.5s") == 1_500_000_000)
        #expect(TimeSpan.parse("5m") == 300_000_000_000)
        for text in ["", "5", "s", "-1s", "1.s", "1e3s", "99999999999999h", "1 s", "+1s"] {
            #expect(TimeSpan.parse(text) == nil)
        }
        for amount: UInt64 in [
            0, 1, 999_999, 1_000_000, 1_500_000, 90_000_000_000, 3_600_000_000_000, 86_400_000_000_001,
        ] {
            #expect(TimeSpan.parse(TimeSpan.text(amount)) == amount)
        }
        #expect(ByteSize.parse("512MiB") == 512 << 20)
        #expect(ByteSize.parse("10MB") == 10_000_000)
        for amount: UInt64 in [0, 1, 1000, 1024, 1 << 30, 12345, 1 << 40] {
            #expect(ByteSize.parse(ByteSize.text(amount)) == amount)
        }
        for text in ["", "MiB", "1 MiB", "-1", "1.0000001B", "1mib", "99999999999TiB"] {
            #expect(ByteSize.parse(text) == nil)
        }
    }
}
