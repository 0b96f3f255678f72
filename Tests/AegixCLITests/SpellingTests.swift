// Pure.

import Testing

@testable import AegixCLI

@Suite struct SpellingTests {
    private let names = ["policy", "workspace", "timeout", "pass-env", "env", "read", "record", "require", "json"]

    @Test(arguments: [
        ("polcy", "policy"), ("workspce", "workspace"), ("tiemout", "timeout"), ("passenv", "pass-env"),
        ("JSON", "json"),
        ("evn", "env"), ("work", "workspace"), ("timeuot", "timeout"),
    ])
    func nearest(typed: String, meant: String) {
        #expect(Spelling.nearest(to: typed, in: names) == meant)
    }

    @Test(arguments: ["", "x", "xyzzy", "memory", "re", String(repeating: "a", count: 5000)])
    func nothingIsNear(typed: String) {
        #expect(Spelling.nearest(to: typed, in: names) == nil)
    }
}
