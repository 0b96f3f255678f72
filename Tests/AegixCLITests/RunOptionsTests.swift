// Pure. Arguments ─► RunOptions.

import AegixPolicy
import AegixSystem
import Testing

@testable import AegixCLI

@Suite struct RunOptionsTests {
    private func options(_ words: [Bytes]) throws(Failure) -> RunOptions {
        try RunOptions(try Arguments.parse(words, for: SampleRun.self))
    }

    private func fails(_ words: [Bytes]) -> Failure? { failure { () throws(Failure) in _ = try options(words) } }

    @Test func eachFormOfARequest() throws {
        #expect(try options(words("--cmd", "echo")).command == .shell(Bytes("echo")))
        #expect(try options(words("--cmd=")).command == .shell([]))
        #expect(
            try options(words("--script", "f.sh", "--cmd")).command
                == .script(file: Bytes("f.sh"), arguments: words("--cmd")))
        #expect(
            try options(words("--python", "pass", "1")).command == .python(code: Bytes("pass"), arguments: words("1")))
        #expect(try options(words("--", "ls", "-l")).command == .program(words("ls", "-l")))
    }

    @Test func exactlyOneRequest() {
        #expect(fails([])?.code == "usage.missing")
        #expect(fails(words("--"))?.code == "usage.missing")
        #expect(fails(words("--cmd", "a", "--", "b"))?.message == "only one can be run: --cmd or --")
        #expect(fails(words("--cmd", "a", "--script", "b"))?.code == "usage.conflict")
        #expect(fails(words("ls", "--cmd", "a"))?.message.contains("-- ls") == true)
        #expect(fails(words("--script", ""))?.message == "--script is empty")
    }

    @Test func everyValue() throws {
        let parsed = try options(
            words(
                "--policy", "ci", "--workspace", "w", "--timeout", "1.5m", "--env", "A=1", "--env", "B=x=y", "--env=C=",
                "--pass-env", "LC_*", "--read", "r", "--write", "/w/../x", "--require", "isolated", "--record",
                "rec.json",
                "--label", "job=7", "--label", "note=", "--parent", "tool-call-1", "--state-dir", "s", "--json",
                "--quiet",
                "--", "true"))
        #expect(parsed.policy == Bytes("ci"))
        #expect(parsed.workspace == Bytes("w"))
        #expect(parsed.timeout?.amount == 90_000_000_000)
        #expect(parsed.environment.map { $0.name } == ["A", "B", "C"])
        #expect(parsed.environment.map { $0.value } == words("1", "x=y", ""))
        #expect(parsed.passEnvironment == ["LC_*"])
        #expect(parsed.require == .isolated)
        #expect(parsed.record == Bytes("rec.json"))
        #expect(parsed.labels == ["job": "7", "note": ""])
        #expect(parsed.parent == "tool-call-1")
        #expect(parsed.stateDirectory == Bytes("s"))
        #expect(parsed.json && parsed.quiet)
        let overrides = parsed.overrides(cwd: Bytes("/here"))
        #expect(overrides.read == words("/here/r"))
        #expect(overrides.write == words("/x"))
        #expect(overrides.require == .isolated && overrides.timeout == parsed.timeout)
    }

    @Test func whatIsntGivenIsNil() throws {
        let parsed = try options(words("--cmd", "true"))
        #expect(parsed.timeout == nil && parsed.require == nil && parsed.policy == nil && parsed.workspace == nil)
        #expect(parsed.overrides(cwd: Bytes("/")) == PolicyOverrides())
        #expect(try options(words("--timeout", "none", "--cmd", "true")).timeout == PolicyOverrides.Limit(nil))
    }

    @Test(arguments: [
        ["--env", "A"], ["--env", "=1"], ["--pass-env", "A=1"], ["--timeout", "soon"], ["--require", "isolatd"],
        ["--label", "x"], ["--label", "=x"], ["--read", ""], ["--policy="], ["--workspace="], ["--state-dir="],
    ])
    func badValues(given: [String]) {
        let found = fails(given.map { Bytes($0) } + words("--cmd", "true"))
        #expect(found?.code == "usage.value")
        #expect(found?.exitCode == 125)
        #expect(found?.message.contains(given[0].split(separator: "=")[0]) == true)
    }

    @Test func aLabelCountsOnce() {
        #expect(fails(words("--label", "a=1", "--label", "a=2", "--cmd", "true"))?.code == "usage.repeated")
    }

    @Test func stdinIsKeptWhenItIsAskedFor() throws {
        #expect(try options(words("--record-stdin", "--cmd", "true")).recordsStdin)
        #expect(try !options(words("--cmd", "true")).recordsStdin)
    }

    @Test func theStateDirectorysPlace() throws {
        func place(_ option: String?, _ variables: [String: String]) throws(Failure) -> String {
            try StateLocation.resolve(option: option.map { Bytes($0) }, cwd: Bytes("/c")) { name in
                variables[name].map { Bytes($0) }
            }.shown
        }
        let all = ["AEGIX_STATE": "/a", "XDG_STATE_HOME": "/x", "HOME": "/h"]
        #expect(try place("o", all) == "/c/o")
        #expect(try place(nil, all) == "/a")
        #expect(try place(nil, ["XDG_STATE_HOME": "/x", "HOME": "/h", "AEGIX_STATE": ""]) == "/x/aegix")
        #expect(try place(nil, ["XDG_STATE_HOME": "x", "HOME": "/h"]) == "/h/.local/state/aegix")
        #expect(failure { () throws(Failure) in _ = try place(nil, [:]) }?.code == "state.unknown")
    }
}
