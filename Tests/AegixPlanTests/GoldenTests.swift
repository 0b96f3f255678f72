// Side effects: reads Golden/*.json beside this file. Whole plans of shipped presets for a fixed host, compared exactly.
//
// To change them on purpose: `AEGIX_REGOLD=1 swift test --filter GoldenTests` writes them anew and fails, so that no
// run of the tests passes on what it has just written. Read the difference, commit it, and run again without.

import AegixSystem
import Glibc
import Testing

@testable import AegixPlan
@testable import AegixPolicy

struct GoldenTests {
    @Test func theDefaultAsAUser() throws {
        try compare("default-user", try make(try preset("default"), Host()))
    }

    @Test func readOnlyAsRoot() throws {
        // strict demands a tier that there isn't yet; the caller's word for the next one is `--require isolated`.
        var strict = try preset("strict")
        strict.require = .isolated
        var host = Host()
        (host.uid, host.gid, host.home, host.workspace) = (0, 0, "/root", "/srv/work")
        host.reads = [fact("/opt/tools", uid: 0, gid: 0)]
        host.denied = [
            DeniedPath(path: Bytes("/srv/work/.env"), isDirectory: false, origin: "strict:29:8"),
            DeniedPath(path: Bytes("/opt/tools/secret"), isDirectory: true, origin: "--deny"),
        ]
        host.guarded = [GuardedPath(path: Bytes("/usr/bin/aegix"), kind: .file, what: "the aegix binary")]
        let line = Invocation(.shell(Bytes("make test")))
        try compare("read-only-root", try make(strict, host, line))
    }

    @Test func directAsAUser() throws {
        var python = try preset("python")
        python.workspace.mode = .direct
        var host = Host()
        (host.workspace, host.cwd) = ("/tmp/work", "/tmp/work/src")
        host.path = "/opt/python/bin:/home/ada/bin:/usr/bin"
        host.reads = [fact("/opt/python"), fact("/home/ada/.pythonrc", .file)]
        host.writes = [fact("/home/ada/.cache/uv")]
        let script = Invocation.Script(path: Bytes("/home/ada/x.py"), content: Bytes("print(1)\n"))
        try compare("direct-user", try make(python, host, Invocation(.script(script, arguments: [[0xFF]]))))
    }

    @Test func confinedAsAUser() throws {
        var policy = try preset("default")
        policy.require = .confined
        var facts = Host().facts
        facts.namespaces = .refused(reason: "a filter refuses namespaces", remedy: "allow them")
        facts.shared = [Bytes("/etc/passwd"), Bytes("/proc/meminfo")]
        let made = try Plan.make(
            policy: policy, facts: facts, invocation: truth, layer: layerPlace,
            run: Bytes("/home/ada/.local/state/aegix/runs/1"))
        try compare("confined-user", JSON.object(made.json).pretty)
    }

    // MARK: - Comparing

    private func preset(_ name: String) throws -> Policy {
        let text = try #require(Preset.named(name)).text
        let chain = try PolicyChain.load(PolicySource(name: name, bytes: Bytes(text))) { parent, _, _ throws(Failure) in
            throw Failure("policy.missing", "no \(parent)")
        }
        return try LayeredPolicy(chain, anchors: PolicyAnchors(home: Bytes("/home/ada"), workspace: nil)).policy
    }

    private func make(_ policy: Policy, _ host: Host, _ invocation: Invocation = truth) throws -> Bytes {
        JSON.object(try plan(host, policy, invocation).json).pretty
    }

    private func compare(_ name: String, _ made: Bytes) throws {
        let directory = "/" + #filePath.split(separator: "/").dropLast().joined(separator: "/")
        let path = Bytes("\(directory)/Golden/\(name).json")
        if getenv("AEGIX_REGOLD") != nil {
            try Descriptor.open(path, O_WRONLY | O_CREAT | O_TRUNC, mode: 0o644).writeAll(made)
            Issue.record("written anew: read the difference of \(text(path)), and run again without AEGIX_REGOLD")
            return
        }
        let golden = try Descriptor.open(path, O_RDONLY).readAll(limit: 1 << 20)
        if made == golden { return }
        let (new, old) = (text(made).split(separator: "\n"), text(golden).split(separator: "\n"))
        let line = zip(new, old).prefix { $0 == $1 }.count
        Issue.record(
            """
            \(name).json differs from line \(line + 1) on:
            now \(line < new.count ? new[line] : "the end")
            was \(line < old.count ? old[line] : "the end")
            If that is meant: AEGIX_REGOLD=1
            """)
    }
}
