// Side effects: a state directory of its own for each test, removed at the end.

import AegixNetwork
import AegixPolicy
import AegixSandbox
import AegixSystem
import Foundation
import Testing

@testable import AegixAudit

final class Fixture: Sendable {
    let path: String
    var bytes: Bytes { Bytes(path) }

    init() throws {
        var template = Array("/tmp/aegix-audit-XXXXXX".utf8CString)
        let made = try #require(mkdtemp(&template))
        path = String(cString: made) + "/state"
    }

    deinit {
        let made = (path as NSString).deletingLastPathComponent
        // Overlay's own directory has mode 0, which an ordinary user can't look into.
        for case let name as String in FileManager.default.enumerator(atPath: made) ?? .init() {
            if name.hasSuffix("/layer/work/work") { chmod(made + "/" + name, 0o700) }
        }
        do { try FileManager.default.removeItem(atPath: made) } catch {
            Issue.record("\(made) is left behind: \(error)")
        }
    }

    func open() throws -> StateDirectory { try StateDirectory.open(at: bytes) }

    func file(_ name: String) throws -> Bytes { Bytes(try Data(contentsOf: URL(fileURLWithPath: path + "/" + name))) }

    func write(_ content: Bytes, to name: String) throws {
        try Data(content).write(to: URL(fileURLWithPath: path + "/" + name))
    }

    func names(_ directory: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: path + "/" + directory).sorted()
    }

    func mode(_ name: String) throws -> Int {
        var facts = stat()
        try #require(lstat(path + "/" + name, &facts) == 0)
        return Int(facts.st_mode & 0o7777)
    }

    func json(_ name: String) throws -> JSON { try JSON.parse(file(name)) }

    func json(run: RunID, _ name: String) throws -> JSON { try json("runs/\(run)/\(name)") }
}

/// Everything fixed, so that two encodings can be compared.
enum Sample {
    static let time: UInt64 = 1_795_000_000_123_456_789

    static func id() throws -> RunID { try RunID.make() }

    static func start(_ id: RunID) -> RunStart {
        var start = RunStart(
            id: id, startedAt: time, aegix: .init(version: "0.1.0", build: "abc"),
            invocation: .init(argv: [Bytes("aegix"), Bytes("--"), Bytes("true")], cwd: Bytes("/w/sub"), how: "argv"),
            command: .init(argv: [Bytes("true")], program: Bytes("/usr/bin/true")))
        start.labels = ["job": "17", "é": "\u{1F600}"]
        start.policy = .init(
            name: "default",
            sources: [.init(name: Bytes("preset:default"), digest: String(repeating: "a", count: 64))],
            effective: Bytes(#"{"limits":{"wall":"120s"},"version":1}"#), digest: SHA256.hex(Bytes("version = 1\n")),
            toml: Bytes("version = 1\n"))
        start.host = Bytes(#"{"kernel":"6.18"}"#)
        start.determinism = [
            .init("umask", value: "0022", isPinned: true, mechanism: "umask before the exec"),
            .init("clock", value: nil, isPinned: false, mechanism: nil),
        ]
        start.identity = .init(insideUID: 1000, insideGID: 1000, outsideUID: 1000, outsideGID: 1000)
        start.environment = [
            .init(name: Bytes("TOKEN"), value: Bytes("hunter2"), origin: .caller),
            .init(name: Bytes("PATH"), value: Bytes("/usr/bin"), origin: .builtIn),
            .init(name: Bytes("TERM"), value: Bytes("xterm"), origin: .caller),
            .init(name: Bytes("GIVEN"), value: Bytes("hunter3"), origin: .option),
            .init(name: Bytes("PIP_TOKEN"), value: Bytes("hunter4"), origin: .secret),
        ]
        start.workspace = .init(path: Bytes("/w"), mode: "layer")
        return start
    }

    static func exec(_ argv: [Bytes], program: Bytes = Bytes("/usr/bin/true")) -> ExecEvent {
        ExecEvent(time: time + 5, pid: 2, parent: 1, program: program, argv: argv, argvCut: false)
    }

    static func end() -> RunEnd {
        var end = RunEnd(Outcome(.exited, exitCode: 0), finishedAt: time + 1_000_000, durationNanoseconds: 1_000_000)
        var usage = Usage()
        usage.execs = 1
        usage.userNanoseconds = 700
        end.usage = usage
        end.enforcement = .init(
            tier: "isolated",
            controls: [Control("network", asked: "none", mechanism: "network namespace", held: true)])
        end.execs = [exec([Bytes("true")])]
        end.violations = [
            Violation(control: "seccomp", rule: "unshare", errno: 1, count: 3, firstTime: time + 7, firstPid: 2)
        ]
        var made = NetworkEvent(
            .connect, time: time + 8, pid: 2, name: Bytes("pypi.org"), address: HostAddress(v4: 0x9765_0040), port: 443,
            isAllowed: true, rule: "pypi.org:443 (p.toml:3:1)")
        (made.sent, made.received) = (10, 20)
        var looked = NetworkEvent(
            .lookup, time: time + 9, name: [0xFF], isAllowed: false, rule: "not a host name")
        (looked.errno, looked.count) = (2, 3)
        end.network = [made, looked]
        var stream = StreamSummary()
        stream.digest = SHA256.hex([])
        end.stdout = stream
        end.stderr = stream
        end.changes = .none
        return end
    }
}
