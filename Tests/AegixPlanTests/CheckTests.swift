// Pure. What a plan refuses before anything is made, and what it hides.

import AegixSystem
import Testing

@testable import AegixPlan
@testable import AegixPolicy

struct CheckTests {
    private func host(workspace: String) -> Host {
        var host = Host()
        host.workspace = workspace
        return host
    }

    @Test(arguments: [
        "/", "/usr", "/etc", "/proc", "/proc/self/cwd", "/proc/x", "/sys", "/sys/fs", "/dev", "/dev/shm/x", "/bin",
        "/sbin", "/lib", "/lib64", "/run",
    ])
    func refusesTheSystemAsWorkspace(_ path: String) {
        for mode in Policy.Workspace.Mode.allCases {
            let failure = refusal(host(workspace: path), policy(mode))
            #expect(failure?.code == "workspace.system")
            #expect(failure?.message.contains(path) == true)
        }
    }

    @Test(arguments: ["/tmp", "/tmp/x", "/home/ada", "/home", "/root", "/procx", "/run/user/1000", "/srv", "/mnt/a b"])
    func acceptsOtherWorkspaces(_ path: String) {
        for mode in Policy.Workspace.Mode.allCases { #expect(refusal(host(workspace: path), policy(mode)) == nil) }
    }

    @Test(arguments: ["/", "/proc", "/proc/1/root", "/sys/class", "/dev", "/dev/kvm"])
    func refusesTheSystemAsAView(_ path: String) {
        var reading = Host()
        reading.reads = [fact("/opt"), fact(path, origin: "policy.toml:14:9")]
        var writing = Host()
        writing.writes = [fact(path, origin: "--write")]
        #expect(refusal(reading)?.code == "files.system")
        #expect(refusal(reading)?.message.contains("policy.toml:14:9") == true)
        #expect(refusal(writing)?.code == "files.system")
        #expect(refusal(writing)?.message.contains("--write") == true)
    }

    @Test func refusesWhatItCannotHold() {
        var sealed = policy()
        sealed.require = .sealed
        #expect(refusal(Host(), sealed)?.code == "tier.unavailable")
        var old = Host()
        old.landlockABI = 0
        #expect(refusal(old)?.code == "tier.landlock")
        sealed.require = .confined
        #expect(refusal(Host(), sealed) == nil)
    }

    /// Whatever the policy asks for, and for root as well: without sight even the record would be empty.
    @Test func refusesToRunBlind() {
        for (scope, isRefused) in [(0, false), (1, false), (2, false), (3, true), (4, true)] {
            for uid: UInt32 in [0, 1000] {
                var host = Host()
                host.ptraceScope = scope
                host.uid = uid
                let failure = refusal(host)
                #expect((failure?.code == "tier.ptrace") == isRefused, "\(scope) \(uid)")
                if isRefused { #expect(failure?.message.contains("kernel.yama.ptrace_scope") == true) }
            }
        }
    }

    @Test func aLayerNeedsAPlace() {
        func code(_ mode: Policy.Workspace.Mode) -> String? {
            do throws(Failure) {
                _ = try Plan.make(policy: policy(mode), facts: Host().facts, invocation: truth, layer: nil)
                return nil
            } catch {
                return error.code
            }
        }
        #expect(code(.layer) == "plan.layer")
        #expect(code(.readOnly) == nil && code(.direct) == nil)
    }

    // MARK: - Guarded paths

    private static let state = GuardedPath(
        path: Bytes("/home/ada/.local/state/aegix"), kind: .directory, what: "the state directory")

    @Test(arguments: ["/home/ada/.local", "/home/ada/.local/state/aegix", "/home/ada/.local/state/aegix/runs", "/home"])
    func neverWritable(_ path: String) {
        for kind in [PathFact.Kind.directory, nil] {
            var host = Host()
            host.guarded = [GuardedPath(path: Self.state.path, kind: kind, what: Self.state.what)]
            host.writes = [fact(path, origin: "--write")]
            let failure = refusal(host)
            #expect(failure?.code == "view.guarded")
            #expect(failure?.message.contains("the state directory /home/ada/.local/state/aegix") == true)
        }
    }

    @Test(arguments: ["/home/ada/.local/state/aegix", "/home/ada/.local/state/aegix/runs/1"])
    func neverReadFromWithin(_ path: String) {
        var reading = Host()
        reading.guarded = [Self.state]
        reading.reads = [fact(path)]
        #expect(refusal(reading)?.code == "view.guarded")
        var working = host(workspace: path)
        working.guarded = [Self.state]
        for mode in Policy.Workspace.Mode.allCases { #expect(refusal(working, policy(mode))?.code == "view.guarded") }
    }

    @Test func stateInADirectWorkspaceIsRefused() {
        var host = host(workspace: "/home/ada")
        host.guarded = [Self.state]
        let failure = refusal(host, policy(.direct))
        #expect(failure?.code == "view.guarded")
        #expect(failure?.message.contains("workspace.mode = \"direct\"") == true)
    }

    @Test(arguments: [Policy.Workspace.Mode.layer, .readOnly])
    func stateInAnotherWorkspaceIsHidden(_ mode: Policy.Workspace.Mode) throws {
        var host = host(workspace: "/home/ada")
        host.guarded = [Self.state]
        let made = try plan(host, policy(mode))
        #expect(made.hidden == [.init(path: Self.state.path, reason: "the state directory")])
        #expect(
            made.steps.last
                == .bind(Self.state.path, source: .inside(Staging.deniedDirectory), flags: [.readOnly, .noExec]))
    }

    @Test func whatIsOutOfViewNeedsNoHiding() throws {
        var host = Host()
        host.guarded = [
            Self.state, GuardedPath(path: Bytes("/etc/aegix"), kind: .directory, what: "the machine's policy"),
            GuardedPath(path: Bytes("/home/ada/project/gone"), kind: nil, what: "the configuration directory"),
        ]
        #expect(try plan(host).hidden.isEmpty)
    }

    @Test func theBinaryIsHiddenInTheSystem() throws {
        var host = Host()
        host.guarded = [GuardedPath(path: Bytes("/usr/bin/aegix"), kind: .file, what: "the aegix binary")]
        let made = try plan(host)
        #expect(made.hidden.map(\.reason) == ["the aegix binary"])
        #expect(
            made.steps.last
                == .bind(Bytes("/usr/bin/aegix"), source: .inside(Staging.deniedFile), flags: [.readOnly, .noExec]))
    }

    // MARK: - Hidden paths

    private func denied(_ path: String, directory: Bool = false) -> DeniedPath {
        DeniedPath(path: Bytes(path), isDirectory: directory, origin: "p.toml:3:9")
    }

    @Test func aPathInAHiddenDirectoryIsHiddenWithIt() throws {
        var host = Host()
        host.denied = [
            denied("/home/ada/project/keys/a/id"), denied("/home/ada/project/.env"),
            denied("/home/ada/project/keys", directory: true), denied("/home/ada/project/keys/b", directory: true),
            denied("/home/ada/project/keys2"), denied("/home/ada/project/.env"),
        ]
        let hidden = try plan(host).hidden
        #expect(
            hidden.map { text($0.path) }.sorted()
                == ["/home/ada/project/.env", "/home/ada/project/keys", "/home/ada/project/keys2"])
        #expect(hidden.allSatisfy { $0.reason == "files.deny (p.toml:3:9)" })
    }

    @Test func hidingComesLast() throws {
        var host = Host()
        host.reads = [fact("/opt/x")]
        host.writes = [fact("/home/ada/project/out")]
        host.denied = [denied("/opt/x/secret", directory: true), denied("/home/ada/project/out/.env")]
        let steps = try plan(host).steps
        let masks = steps.suffix(2)
        #expect(Set(masks.map(\.path)) == [Bytes("/opt/x/secret"), Bytes("/home/ada/project/out/.env")])
        for step in masks {
            let isDirectory = step.path == Bytes("/opt/x/secret")
            let source = isDirectory ? Staging.deniedDirectory : Staging.deniedFile
            #expect(step == .bind(step.path, source: .inside(source), flags: [.readOnly, .noExec]))
        }
    }

    @Test func nobodyMayReadWhatStandsIn() throws {
        let steps = try plan().steps
        #expect(steps.contains(.directory(Staging.deniedDirectory, mode: 0)))
        #expect(steps.contains(.file(Staging.deniedFile, content: [], mode: 0)))
    }
}
