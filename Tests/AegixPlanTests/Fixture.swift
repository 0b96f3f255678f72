// Pure. A host, a policy and what the tests ask of a plan.

import AegixSystem
import Testing

@testable import AegixPlan
@testable import AegixPolicy

let layerPlace = LayerPlace(directory: Bytes("/home/ada/.local/state/aegix/runs/1/layer"))
let truth = Invocation(.program([Bytes("true")]))

func fact(
    _ path: String, _ kind: PathFact.Kind = .directory, uid: UInt32 = 1000, gid: UInt32 = 1000, inode: UInt64 = 7,
    origin: String = "policy.toml:1:1"
) -> PathFact {
    PathFact(
        path: Bytes(path), kind: kind, device: 2, inode: inode, uid: uid, gid: gid, mode: kind == .file ? 0o644 : 0o755,
        origin: origin)
}

/// Ada's machine, with /usr merged.
struct Host {
    var uid: UInt32 = 1000
    var gid: UInt32 = 1000
    /// uid and gid of the workspace.
    var owner: (UInt32, UInt32) = (1000, 1000)
    var home: String? = "/home/ada"
    var workspace = "/home/ada/project"
    var cwd: String?
    var reads: [PathFact] = []
    var writes: [PathFact] = []
    var path = "/usr/local/bin:/usr/bin:/bin"
    var environment: [(String, String)] = [("LANG", "C.UTF-8"), ("TOKEN", "secret")]
    var denied: [DeniedPath] = []
    var guarded: [GuardedPath] = []
    var landlockABI = 6
    var ptraceScope = 0

    var facts: HostFacts {
        var facts = HostFacts(
            uid: uid, gid: gid, cwd: Bytes(cwd ?? workspace),
            workspace: fact(workspace, uid: owner.0, gid: owner.1, inode: 42, origin: "--workspace"))
        facts.userName = Bytes("ada")
        facts.kernel = "6.12.0"
        facts.landlockABI = landlockABI
        facts.ptraceScope = ptraceScope
        facts.home = home.map { Bytes($0) }
        facts.environment = ([("PATH", path)] + environment + [("HOME", home ?? "")]).map {
            HostFacts.Variable(name: Bytes($0.0), value: Bytes($0.1))
        }
        facts.base = Host.base
        facts.reads = reads
        facts.writes = writes
        facts.denied = denied
        facts.guarded = guarded
        return facts
    }

    static let base: [BaseEntry] =
        [BaseEntry(path: Bytes("/usr"), kind: .directory(device: 2, inode: 3, source: Bytes("/usr")))]
        + ["bin", "sbin", "lib", "lib64"].map {
            BaseEntry(path: Bytes("/" + $0), kind: .symlink(Bytes("usr/" + $0)))
        }
        + [
            BaseEntry(
                path: Bytes("/etc/alternatives"),
                kind: .directory(device: 2, inode: 4, source: Bytes("/etc/alternatives"))),
            BaseEntry(
                path: Bytes("/etc/ld.so.cache"), kind: .file(device: 2, inode: 5, source: Bytes("/etc/ld.so.cache"))),
            BaseEntry(path: Bytes("/etc/localtime"), kind: .symlink(Bytes("/usr/share/zoneinfo/Etc/UTC"))),
            BaseEntry(
                path: Bytes("/etc/ssl/certs"), kind: .directory(device: 2, inode: 6, source: Bytes("/etc/ssl/certs"))),
        ]
}

func policy(
    _ mode: Policy.Workspace.Mode = .layer, identity: Policy.Identity = .keep, pass: [String] = ["LANG", "TERM"],
    set: [String: String] = [:]
) -> Policy {
    var policy = Policy()
    policy.workspace.mode = mode
    policy.identity = identity
    policy.env.pass = pass
    policy.env.set = set.mapValues { Bytes($0) }
    return policy
}

func plan(_ host: Host = Host(), _ policy: Policy = policy(), _ invocation: Invocation = truth) throws -> Plan {
    try Plan.make(policy: policy, facts: host.facts, invocation: invocation, layer: layerPlace)
}

/// The code and the message of a refusal; nil when there is a plan.
func refusal(_ host: Host, _ policy: Policy = policy(), _ invocation: Invocation = truth) -> Failure? {
    do throws(Failure) {
        _ = try Plan.make(policy: policy, facts: host.facts, invocation: invocation, layer: layerPlace)
        return nil
    } catch {
        return error
    }
}

func text(_ bytes: Bytes) -> String { String(decoding: bytes, as: UTF8.self) }

extension Plan {
    /// `name=value`, in order.
    var words: [String] { environment.map { text($0.name) + "=" + text($0.value) } }

    func variable(_ name: String) -> PlannedVariable? { environment.first { $0.name == Bytes(name) } }

    /// Where in the steps a mount at this path is made, the last one.
    func mount(at path: String) -> Int? { steps.lastIndex { $0.path == Bytes(path) && $0.isMount } }
}

extension Step {
    var isMount: Bool {
        switch self {
        case .directory, .file, .symlink: false
        case .bind, .attach, .proc, .devpts, .tmpfs, .overlay: true
        }
    }
}
