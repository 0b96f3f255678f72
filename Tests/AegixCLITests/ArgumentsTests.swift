// Pure. argv ─► Arguments.

import AegixSystem
import Testing

@testable import AegixCLI

@Suite struct ArgumentsTests {
    private func parse(_ words: [Bytes]) throws(Failure) -> Arguments {
        try Arguments.parse(words, for: SampleCommand.self)
    }

    private func run(_ words: [Bytes]) throws(Failure) -> Arguments { try Arguments.parse(words, for: SampleRun.self) }

    private func code(_ words: [Bytes]) -> String? { failure { () throws(Failure) in _ = try parse(words) }?.code }

    @Test func bothSpellingsOfAValue() throws {
        #expect(try parse(words("--policy", "a")).value("policy") == Bytes("a"))
        #expect(try parse(words("--policy=a")).value("policy") == Bytes("a"))
        #expect(try parse(words("--policy=a=b")).value("policy") == Bytes("a=b"))
        #expect(try parse(words("--policy=")).value("policy") == [])
        #expect(try parse(words("--policy", "")).value("policy") == [])
        #expect(try parse([]).value("policy") == nil)
    }

    @Test func flagsRepetitionsAndOperands() throws {
        let parsed = try parse(words("one", "--env", "A=1", "--quiet", "two", "--env=B=2", "-", "--json"))
        #expect(parsed.flag("quiet") && parsed.flag("json") && !parsed.flag("help"))
        #expect(parsed.values("env") == words("A=1", "B=2"))
        #expect(parsed.operands == words("one", "two", "-"))
        #expect(parsed.restOwner == nil)
    }

    @Test func dashesEndTheOptions() throws {
        #expect(try parse(words("a", "--", "--quiet", "--")).operands == words("a", "--quiet", "--"))
        let parsed = try run(words("--quiet", "--", "ls", "--", "--json"))
        #expect(parsed.rest == words("ls", "--", "--json"))
        #expect(parsed.restOwner == "--" && parsed.operands.isEmpty && !parsed.flag("json"))
    }

    @Test(arguments: [["--script", "f"], ["--script=f"]]) func theRestIsTheScripts(form: [String]) throws {
        let parsed = try run(form.map { Bytes($0) } + words("--json", "--", "-x", "--bogus"))
        #expect(parsed.value("script") == Bytes("f"))
        #expect(parsed.rest == words("--json", "--", "-x", "--bogus"))
        #expect(parsed.restOwner == "script" && !parsed.flag("json"))
    }

    @Test func bytesThatAreNoTextPassUnchanged() throws {
        let odd: Bytes = [0x2D, 0x61, 0xFF, 0xFE, 0x0A, 0x80]
        let name: Bytes = [0xC3, 0x28]
        let parsed = try run([Bytes("--read"), name, Bytes("--write=") + name, Bytes("--"), odd, name])
        #expect(parsed.value("read") == name)
        #expect(parsed.value("write") == name)
        #expect(parsed.rest == [odd, name])
        #expect(failure { () throws(Failure) in _ = try parsed.text("read") }?.code == "usage.value")
    }

    @Test func errors() {
        #expect(code(words("--polcy", "a")) == "usage.option")
        #expect(code(words("-q")) == "usage.option")
        #expect(code(words("--policy")) == "usage.value")
        #expect(code(words("--policy", "--quiet")) == "usage.value")
        #expect(code(words("--policy", "--env=A=1")) == "usage.value")
        #expect(code(words("--policy", "--")) == "usage.value")
        #expect(code(words("--quiet=yes")) == "usage.value")
        #expect(code(words("--policy", "a", "--policy", "b")) == "usage.repeated")
        #expect(code(words("--quiet", "--quiet")) == "usage.repeated")
        // The way out for a value that looks like an option, and for one that isn't an option here.
        #expect(code(words("--policy=--quiet")) == nil)
        #expect(code(words("--policy", "-x")) == nil)
    }

    @Test func errorsNameTheNearestSpelling() {
        func message(_ word: String) -> String? {
            failure { () throws(Failure) in _ = try run([Bytes(word)]) }?.message
        }
        #expect(message("--tiemout=1s") == "unknown option --tiemout; did you mean --timeout?")
        #expect(message("-json") == "unknown option -json; did you mean --json?")
        #expect(message("--xyzzy") == "unknown option --xyzzy; `aegix run --help` lists the options")
        #expect(message("--later") == "--later isn't available in this version")
        #expect(message("--later=dist") == "--later isn't available in this version")
        #expect(message("--\u{1B}[2J")?.contains("\u{1B}") == false)
    }

    @Test func jsonIsRecognisedBeforeParsing() {
        func json(_ words: [Bytes]) -> Bool { Arguments.mentions("json", in: words, ending: ["script", "python"]) }
        #expect(json(words("--json")))
        #expect(json(words("history", "--bogus", "--json")))
        #expect(json(words("--script", "--json")))
        #expect(!json(words("--", "--json")))
        #expect(!json(words("--script", "f", "--json")))
        #expect(!json(words("--python=pass", "--json")))
        #expect(json(words("--json", "--script", "f")))
        #expect(!json([]))
    }

    @Test func operandsAreCounted() throws {
        let one = try parse(words("a"))
        #expect(try one.operands("RUN") == words("a"))
        #expect(try one.operands("RUN", "FILE", optional: 1) == words("a"))
        #expect(failure { () throws(Failure) in _ = try one.operands() }?.message == "unexpected word: a")
        #expect(failure { () throws(Failure) in _ = try one.operands("RUN", "FILE") }?.message == "FILE is missing")
    }
}
