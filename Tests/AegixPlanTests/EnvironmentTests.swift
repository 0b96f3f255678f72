// Pure. The command's environment: which variables, whose word, in which order.

import AegixSystem
import Testing

@testable import AegixPlan
@testable import AegixPolicy

struct EnvironmentTests {
    private func path(_ given: String, _ host: Host = Host()) throws -> String {
        var host = host
        host.path = given
        return text(try #require(try plan(host).variable("PATH")).value)
    }

    @Test func beginsFromNothing() throws {
        let made = try plan(Host(), policy(pass: []))
        #expect(
            made.words == [
                "PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/home/ada", "USER=ada", "LOGNAME=ada", "TMPDIR=/tmp",
            ])
        #expect(made.environment.allSatisfy { $0.source == .base })
    }

    @Test func ourOwnThenTheCallersThenThePolicys() throws {
        var host = Host()
        host.environment = [("TERM", "xterm"), ("LANG", "C"), ("TOKEN", "secret"), ("LC_ALL", "C")]
        let made = try plan(host, policy(pass: ["LANG", "TERM", "LC_*"], set: ["Z": "1", "A": "", "TERM": "dumb"]))
        #expect(made.words.dropFirst(5) == ["TERM=dumb", "LANG=C", "LC_ALL=C", "A=", "Z=1"])
        #expect(made.environment.dropFirst(5).map(\.source) == [.set, .passed, .passed, .set, .set])
    }

    @Test(
        arguments: [
            (["LC_*"], ["LC_", "LC_ALL"]), (["LC_"], ["LC_"]), (["*"], ["LC_", "LC_ALL", "LD", "lc_all"]),
            (["LC"], []), ([], []), (["L*", "LC_ALL"], ["LC_", "LC_ALL", "LD"]), (["*_ALL"], []),
        ] as [([String], [String])])
    func patternsEndInAStar(_ patterns: [String], _ names: [String]) throws {
        var host = Host()
        host.environment = ["LC_", "LC_ALL", "LD", "lc_all"].map { ($0, "x") }
        let made = try plan(host, policy(pass: patterns))
        let standard = ["PATH", "HOME", "USER", "LOGNAME", "TMPDIR"]
        #expect(made.environment.map { text($0.name) }.filter { !standard.contains($0) } == names)
    }

    @Test func keepsBytesThatAreNoText() throws {
        var facts = Host().facts
        facts.environment.append(.init(name: Bytes("TERM"), value: [0xFF, 0x3D, 0xC3]))
        let made = try Plan.make(policy: policy(), facts: facts, invocation: truth, layer: layerPlace)
        #expect(made.variable("TERM")?.value == [0xFF, 0x3D, 0xC3])
    }

    @Test func thePolicysWordIsTheLast() throws {
        let made = try plan(Host(), policy(set: ["HOME": "/x", "USER": "y"]))
        #expect(made.words.prefix(3) == ["PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/x", "USER=y"])
        #expect(made.variable("HOME")?.source == .set)
    }

    @Test func eachNameStandsOnce() throws {
        var host = Host()
        host.environment = [("LANG", "a"), ("LANG", "b")]
        let made = try plan(host, policy(set: ["LANG": "c"]))
        #expect(Set(made.environment.map(\.name)).count == made.environment.count)
    }

    // MARK: - PATH

    @Test(arguments: [
        ("/usr/bin:/opt/x/bin:/bin", "/usr/bin:/bin"),  // out of view
        ("/usr//bin/:/usr/./sbin", "/usr/bin:/usr/sbin"),
        (".:bin:/usr/bin:", "/usr/bin"),  // relative and empty ones
        ("/home/ada/project/node_modules/.bin:/usr/bin", "/home/ada/project/node_modules/.bin:/usr/bin"),
        ("/home/ada/bin:/tmp:/dev/shm:/bin", "/bin"),  // the private ones are empty
        ("/usr/../opt:/bin", "/bin"), ("/usrlocal:/bin", "/bin"),
    ])
    func keepsWhatIsInView(_ given: String, _ kept: String) throws {
        #expect(try path(given) == kept)
    }

    @Test(arguments: ["", ":", "bin", "/opt/x/bin", "/nowhere:.:"])
    func elseTheUsualOne(_ given: String) throws {
        #expect(try path(given) == "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    }

    @Test func keepsWhatThePolicyShows() throws {
        var host = Host()
        host.reads = [fact("/opt/x")]
        host.writes = [fact("/home/ada/.cargo")]
        #expect(try path("/home/ada/.cargo/bin:/opt/x/bin:/opt/y", host) == "/home/ada/.cargo/bin:/opt/x/bin")
    }
}
