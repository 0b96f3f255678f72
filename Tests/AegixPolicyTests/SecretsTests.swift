// `[secrets]`: where values come from, never the values.

import AegixSystem
import Testing

@testable import AegixPolicy

@Suite struct SecretsTests {
    private static let text = """
        [secrets]
        A = "env:CI_A"
        B = "file:~/b"
        C = { from = "file:/c d", file = true }
        """

    @Test func sourcesAreRead() throws {
        let secrets = try policy(SecretsTests.text).secrets
        #expect(
            secrets == [
                "A": .init(.variable("CI_A")), "B": .init(.file(Bytes("~/b"))),
                "C": .init(.file(Bytes("/c d")), isFile: true),
            ])
    }

    @Test func theTextSaysTheSame() throws {
        let first = try policy(SecretsTests.text)
        let again = try LayeredPolicy(chain(String(decoding: first.toml, as: UTF8.self)), anchors: anchors).policy
        #expect(bare(again) == bare(first))
        #expect(first.json["secrets"]?["A"] == "env:CI_A")
        #expect(first.json["secrets"]?["C"] == ["file": true, "from": "file:/c d"])
        #expect(first.json.canonical == first.canonical)
        #expect(Policy().json["secrets"] == [:])
    }

    @Test(arguments: [
        "\"hunter2\"", "\"env:1X\"", "\"env:\"", "\"file:\"", "1", "{ from = \"env:X\", file = 1 }", "{ file = true }",
        "{ from = \"hunter2\" }", "{ from = \"env:X\", more = 1 }",
    ]) func valuesAreRefusedAndNotQuoted(_ value: String) {
        let found = errors("version = 1\n[secrets]\nX = \(value)")
        #expect(found.count == 1 && found[0].hasPrefix("3:5: secrets.`X` must be"), "\(found)")
        #expect(!found.joined().contains("hunter2"))
    }

    @Test func aLaterPolicyNamesNoMore() throws {
        func looser(_ child: String) throws -> [String] {
            Narrowing.loosenings(of: try policy(child), beyond: try policy(SecretsTests.text), anchors: anchors)
                .filter { $0.key == .secrets }.map(\.reason)
        }
        #expect(try looser("") == [])
        #expect(try looser("[secrets]\nA = \"env:CI_A\"") == [])
        #expect(try looser("[secrets]\nA = \"env:OTHER\"\nD = \"env:D\"") == ["takes A from elsewhere", "adds D"])
    }

    @Test func aCeilingCutsThem() throws {
        var layered = try LayeredPolicy(chain("version = 1\n"), anchors: anchors)
        let ceiling = try Ceiling(chain("version = 1\n[secrets]\nA = \"env:CI_A\"\n"), anchors: anchors)
        var asked = PolicyOverrides()
        asked.secrets = [.init(name: "A", source: .init(.variable("CI_A")))]
        try layered.apply(asked, ceiling: ceiling)
        #expect(layered.policy.secrets.count == 1)
        asked.secrets = [.init(name: "B", source: .init(.variable("CI_A")))]
        let more = asked
        #expect(throws: Failure.self) { try layered.apply(more, ceiling: ceiling) }
    }
}
