import AegixSystem
import Testing

@testable import AegixPolicy

struct LearningTests {
    static let anchors = PolicyAnchors(home: Bytes("/home/u"), workspace: Bytes("/home/u/ws"))

    static func within(_ text: String) throws -> Policy {
        let chain = try PolicyChain.load(PolicySource(name: "w", bytes: Bytes("version = 1\n" + text))) {
            _, _, _ throws(Failure) in
            throw Failure("none", "none")
        }
        return try LayeredPolicy(chain, anchors: anchors).policy
    }

    func learn(_ seen: Observations, _ text: String = "", canHold: Bool = true) throws -> LearnedPolicy {
        LearnedPolicy(seen, within: try Self.within(text), anchors: Self.anchors, canHold: canHold)
    }

    static func exec(_ program: String, _ argv: [String], name: String? = nil) -> Observations.Exec {
        .init(
            program: Bytes(program), argv: argv.map { Bytes($0) }, by: nil, name: name.map { Bytes($0) },
            wasAsked: false)
    }

    @Test(arguments: [
        ("tmp.Xy3kQ9aBcD", "tmp.*"), ("tmp.abcdefghij", "tmp.*"), ("tmpjge72vnc", "tmp*"), ("python3.12", "python3.*"),
        ("libfoo-1.2.3.so", "libfoo-*.so"), ("2024-01-31.csv", "*-*-*.csv"), ("0123456789abcdef", "*"), ("12345", "*"),
        ("8f14e45f-ceea-467f-9d0c-112233445566", "*"), ("README", "README"), ("CamelCaseName", "CamelCaseName"),
        ("x86_64-linux-gnu", "x86_64-linux-gnu"), ("template", "template"), ("a*b?", "a\\*b\\?"), ("[x]", "\\[x]"),
        ("**", "\\*\\*"),
        ("\n[files]", "\n\\[files]"), ("", ""), ("cafe", "cafe"), ("deadbeef", "deadbeef"), ("-c", "-c"),
    ])
    func namesOfOneRun(_ name: String, _ pattern: String) { #expect(NameShape.pattern(Bytes(name)) == Bytes(pattern)) }

    @Test func aPatternMatchesItsOwnName() {
        for name in [
            "tmp.Xy3kQ9aBcD", "a*1b", "v1.2.3-rc4", "[12]", "\\12", "\u{fe}\u{ff}", "x86_64", "1", "..2", "a\n1",
        ] {
            #expect(Wildcard.matches(NameShape.pattern(Bytes(name)), Bytes(name)), "\(name)")
        }
        #expect(Wildcard.matches(NameShape.pattern([0xFF, 0x31]), [0xFF, 0x31]))
    }

    @Test func siblingsBecomeAWildcardWhereTheyMay() throws {
        var seen = Observations(command: Bytes("x"))
        for name in [
            "a.cdn.example", "b.cdn.example", "c.cdn.example", "a.co.uk", "b.co.uk", "c.co.uk", "one.org",
            "a.github.io", "b.github.io", "c.github.io",
        ] {
            seen.hosts.append(.init(name: name, address: nil, port: 443, by: []))
        }
        seen.hosts.append(.init(name: "only.looked.up", address: nil, port: nil, by: []))
        let learned = try learn(seen, "[network]\nmode = \"guarded\"\n")
        let hosts = learned.policy.network.allow.map(\.pattern.text)
        #expect(learned.policy.network.mode == .allow)
        #expect(
            hosts == [
                "*.cdn.example:443", "a.co.uk:443", "a.github.io:443", "b.co.uk:443", "b.github.io:443", "c.co.uk:443",
                "c.github.io:443", "one.org:443", "only.looked.up:443",
            ])
        let exact = try learn(
            seen,
            "[network]\nmode = \"allow\"\nallow = [\"a.cdn.example\", \"b.cdn.example\", \"c.cdn.example\", \"one.org\"]\n"
        )
        // What it isn't allowed under can't be proposed; then nothing narrower is proven, and the list is as it was.
        #expect(!exact.policy.network.allow.contains { $0.pattern.text.hasPrefix("*") })
    }

    @Test func verbsStayAndArgumentsGo() throws {
        var seen = Observations(command: Bytes("sh"))
        seen.execs = [
            Self.exec("/usr/bin/dash", ["sh", "-c", "git pull"], name: "sh"),
            Self.exec("/usr/bin/git", ["git", "-C", "/x", "pull", "origin"], name: "git"),
            Self.exec("/usr/bin/git", ["git", "fetch", "--all"], name: "git"),
            Self.exec("/usr/bin/python3.11", ["python3", "-m", "pytest", "a.py"], name: "python3"),
            Self.exec("/home/u/ws/build/tool-1.2", ["tool"]), Self.exec("/home/u/ws/7", ["x"]),
            Self.exec("/tmp/tmpabc/conftest", ["x"]), Self.exec("/tmp/ccX.out", ["x"]),
            Self.exec("/home/u/bin/x", ["x"]),
        ]
        let learned = try learn(seen)
        let rules = learned.policy.commands.rules.map { PolicyText.toml(.rules([$0]), of: .commandsRule) }.joined(
            separator: "\n")
        for wanted in [
            #"["sh", "-c", "**"]"#, #"["git", "-C", "*", "pull", "**"]"#, #""fetch", "#,
            #"["python3", "-m", "pytest", "**"]"#,
            #"["./build/tool-*", "**"]"#, #"["./7", "**"]"#, #"["/tmp/*/conftest", "**"]"#, #"["/tmp/*", "**"]"#,
            #"["~/bin/x", "**"]"#,
        ] { #expect(rules.contains(wanted), "\(wanted) in \(rules)") }
        #expect(!rules.contains("\"push\""))
        #expect(learned.policy.commands.unmatched == .deny)
    }

    @Test func whatRulesCantHoldStaysOpen() throws {
        for program in ["/memfd:x (deleted)", "/proc/123/exe", "/tmp/x (deleted)", "relative"] {
            var seen = Observations(command: Bytes("x"))
            seen.execs = [Self.exec(program, ["x"])]
            #expect(try learn(seen).policy.commands.unmatched == .allow, "\(program)")
        }
        var seen = Observations(command: Bytes("x"))
        seen.execs = [Self.exec("/usr/bin/id", ["id"], name: "id")]
        #expect(try learn(seen, canHold: false).policy.commands.unmatched == .allow)
        let under = "[[commands.rule]]\nargv = [\"git\", \"push\", \"**\"]\ndecision = \"deny\"\n"
        seen.tracer = Bytes("/usr/bin/gdb")
        let open = try learn(seen, under).policy.commands
        #expect(open.unmatched == .allow && open.rules.count == 1)
        let list = "[commands]\ndefault = \"deny\"\n[[commands.rule]]\nargv = [\"id\"]\ndecision = \"allow\"\n"
        #expect(try learn(seen, list).policy.commands == Self.within(list).commands)
    }

    @Test func filesAreNamedFoldedAndKeptFromKeys() throws {
        let policy = try Self.within("[files]\nread = [\"~\", \"/opt/t\"]\n")
        let (home, tool) = (policy.files.read[0], policy.files.read[1])
        var seen = Observations(command: Bytes("x"))
        func read(
            _ rule: Policy.PathRule, _ path: String, _ use: Observations.File.Use = .read, directory: Bool = false
        ) {
            seen.files.append(
                .init(
                    rule: rule, names: path.split(separator: "/").map { Bytes(String($0)) }, use: use,
                    isDirectory: directory, hasLink: false, by: []))
        }
        read(home, ".ssh/id_ed25519")
        read(home, "12345")
        read(home, "notes.txt")
        read(home, "data/2024-01-01.csv")
        for name in ["a", "b", "c"] { read(home, "proj/src/\(name)") }
        for name in ["a", "b", "c"] { read(home, "\(name).top") }
        read(tool, "lib", .listed, directory: true)
        read(tool, "lib/x")
        read(tool, "bin", .looked, directory: true)
        let learned = LearnedPolicy(seen, within: policy, anchors: Self.anchors, canHold: true)
        let files = learned.policy.files.read.map(\.pattern.shown)
        #expect(
            files == [
                "/opt/t/lib", "~/12345", "~/a.top", "~/b.top", "~/c.top", "~/data/*-*-*.csv", "~/notes.txt",
                "~/proj/src",
            ])
        #expect(learned.leftOut.contains { $0.contains("/home/u/.ssh/id_ed25519") })
        #expect(learned.policy.files.deny.contains { $0.pattern == Bytes("~/proj/src/**/.env") })
    }

    @Test func nothingIsLooserAndEveryTextReadsAsItIs() throws {
        let hostile: [Bytes] = [
            Bytes("*"), Bytes("**"), Bytes("\""), Bytes("x\n[files]\nread = [\"/\"]"), Bytes("'''"), Bytes("\"\"\""),
            Bytes("\\"), Bytes("a]["),
            [0xFF, 0xFE], Bytes("\u{1b}[2J"), Bytes("\u{2028}#"), Bytes("~"), Bytes("{ base64 = \"\" }"), Bytes("-c"),
            Bytes("\r"), Bytes("\u{7f}"),
            Bytes(String(repeating: "é", count: 3000)), Bytes("1"), Bytes("tmp.aaaaaaaa"), Bytes(" "), Bytes("..."),
            Bytes("$(id)"),
        ]
        let text = """
            [files]
            read = ["/srv/data", "~/x/*.csv"]
            write = ["/srv/out"]
            deny = ["**/.env"]
            [network]
            mode = "guarded"
            deny = ["evil.example"]
            [[commands.rule]]
            argv = ["git", "push", "**"]
            decision = "deny"
            [secrets]
            TOKEN = "env:CI_TOKEN"
            """
        let policy = try Self.within(text)
        for one in hostile {
            for other in hostile {
                var seen = Observations(command: one)
                for (rule, use) in [
                    (policy.files.read[0], Observations.File.Use.read), (policy.files.read[1], .listed),
                    (policy.files.write[0], .written),
                ] {
                    seen.files.append(
                        .init(
                            rule: rule, names: [one, other], use: use, isDirectory: use == .listed, hasLink: false,
                            by: other))
                }
                let path = Bytes("/home/u/ws/") + one
                for program in [path, Bytes("/tmp/") + one, Bytes("/opt/") + one + Bytes("/") + other, one] {
                    for name in [nil, Bytes("git"), Bytes("sh"), Bytes("python3"), one] {
                        seen.execs.append(
                            .init(program: program, argv: [one, other, one], by: other, name: name, wasAsked: false))
                    }
                }
                seen.workspaceChange = .init(path: one, by: other)
                let learned = LearnedPolicy(seen, within: policy, anchors: Self.anchors, canHold: true)
                let looser = Narrowing.loosenings(of: learned.policy, beyond: policy, anchors: Self.anchors)
                #expect(looser.isEmpty, "\(one.shown) \(other.shown): \(looser)")
                #expect(learned.policy.secrets.isEmpty)
                // Throws where the text doesn't read as the policy.
                do {
                    let bytes = try LearnedText.toml(
                        learned, head: [one.shown, String(decoding: other, as: UTF8.self)], refused: [other.shown])
                    #expect(bytes.text != nil)
                } catch {
                    Issue.record("\(one.shown) \(other.shown): \(error)")
                }
            }
        }
    }
}
