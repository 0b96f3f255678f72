// Pure. Tier confined: entered only where it is accepted and nothing better is to be had, and what it grants.

import AegixSystem
import Testing

@testable import AegixPlan
@testable import AegixPolicy

/// A host that refuses namespaces.
private func bare(_ change: (inout Host) -> Void = { _ in }) -> HostFacts {
    var host = Host()
    change(&host)
    var facts = host.facts
    facts.namespaces = .refused(reason: "a filter refuses namespaces", remedy: "allow them")
    facts.shared = [Bytes("/etc/passwd"), Bytes("/proc/meminfo")]
    return facts
}

private func accepting(_ mode: Policy.Workspace.Mode = .layer) -> Policy {
    var policy = policy(mode)
    policy.require = .confined
    return policy
}

private func made(_ facts: HostFacts, _ policy: Policy, _ invocation: Invocation = truth) throws(Failure) -> Plan {
    try Plan.make(
        policy: policy, facts: facts, invocation: invocation, layer: layerPlace,
        run: Bytes("/home/ada/.local/state/aegix/runs/1"))
}

private func code(_ facts: HostFacts, _ policy: Policy) -> String? {
    do throws(Failure) {
        _ = try made(facts, policy)
        return nil
    } catch {
        return error.code
    }
}

struct ConfinedTests {
    static let copy = "/home/ada/.local/state/aegix/runs/1/confined/workspace/project"

    @Test func onlyWhereItIsAcceptedAndNothingBetterIsThere() throws {
        #expect(try made(bare(), accepting()).tier == .confined)
        #expect(try made(bare(), policy()).tier == .isolated)
        for namespaces in [HostFacts.Namespaces.available, .untried] {
            var facts = bare()
            facts.namespaces = namespaces
            let plan = try made(facts, accepting())
            #expect(plan.tier == .isolated && plan.confined == nil)
        }
    }

    @Test func whatItCantDoIsRefused() {
        #expect(code(bare { $0.landlockABI = 5 }, accepting()) == "tier.landlock")
        // Without a user namespace nobody has given aegix power over the command.
        #expect(code(bare { $0.ptraceScope = 2 }, accepting()) == "tier.ptrace")
        #expect(code(bare { $0.ptraceScope = 3 }, accepting()) == "tier.ptrace")
        #expect(code(bare { $0.ptraceScope = 1 }, accepting()) == nil)
        #expect(code(bare { ($0.uid, $0.owner) = (0, (0, 0)) }, accepting()) == "tier.root")
        #expect(code(bare { $0.uid = 0 }, accepting()) == nil)
        var nobody = accepting()
        nobody.identity = .nobody
        #expect(code(bare(), nobody) == "tier.identity")
        var powerful = accepting()
        powerful.capabilities = ["cap_net_raw"]
        #expect(code(bare(), powerful) == "tier.capabilities")
    }

    @Test func whatIsDeniedIsLeftOutOfTheCopyOrRefused() throws {
        let env = DeniedPath(path: Bytes("/home/ada/project/.env"), isDirectory: false, origin: "policy.toml:2:8")
        let plan = try made(bare { $0.denied = [env] }, accepting())
        #expect(plan.confined?.copy?.leftOut == [env.path])
        #expect(plan.hidden.map(\.path) == [env.path])
        for mode in [Policy.Workspace.Mode.readOnly, .direct] {
            #expect(code(bare { $0.denied = [env] }, accepting(mode)) == "tier.hidden")
        }
        let key = DeniedPath(path: Bytes("/opt/x/key"), isDirectory: false, origin: "policy.toml:2:8")
        #expect(code(bare { ($0.reads, $0.denied) = ([fact("/opt/x")], [key]) }, accepting()) == "tier.hidden")
    }

    @Test func theStateDirectoryIsNeverCopied() throws {
        let state = GuardedPath(
            path: Bytes("/home/ada/project/state"), kind: .directory, what: "the state directory")
        let plan = try made(bare { $0.guarded = [state] }, accepting())
        #expect(plan.confined?.copy?.leftOut == [state.path])
    }

    @Test(arguments: Policy.Workspace.Mode.allCases)
    func rightsArePerPlace(_ mode: Policy.Workspace.Mode) throws {
        typealias Access = LandlockPlan.Access
        let facts = bare { ($0.reads, $0.writes) = ([fact("/opt/x")], [fact("/srv/out")]) }
        let landlock = try made(facts, accepting(mode)).landlock
        #expect(landlock.scoped == 3 && landlock.handledNetwork == 3)
        func rule(_ path: String) -> UInt64 { landlock.rules.first { $0.path == Bytes(path) }?.access ?? 0 }
        let look = Access.execute | Access.readFile | Access.readDirectory
        for path in ["/usr", "/etc/alternatives", "/opt/x"] { #expect(rule(path) == look, "\(path)") }
        #expect(rule("/etc/passwd") == look & ~Access.execute)
        #expect(rule("/dev/null") & Access.writeFile != 0 && rule("/dev/null") & Access.execute == 0)
        for path in ["/", "/etc", "/proc", "/dev", "/tmp", "/home", "/home/ada", "/dev/shm"] {
            #expect(rule(path) == 0)
        }
        var writable = ["/srv/out"] + ["tmp", "home"].map { "/home/ada/.local/state/aegix/runs/1/confined/" + $0 }
        switch mode {
        case .layer, .apply: writable.append(Self.copy)
        case .direct: writable.append("/home/ada/project")
        case .readOnly: #expect(rule("/home/ada/project") == look)
        }
        if mode.hasLayer { #expect(rule("/home/ada/project") == 0) }
        #expect(Set(landlock.writable) == Set(writable.map { Bytes($0) }))
        let devices = Access.makeCharacterDevice | Access.makeBlockDevice
        for rule in landlock.rules { #expect(rule.access & devices == 0 && rule.access & ~landlock.handled == 0) }
    }

    @Test func pathsOfTheWorkspaceAreThoseOfTheCopy() throws {
        let facts = bare { ($0.cwd, $0.path) = ("/home/ada/project/src", "/home/ada/project/bin:/usr/bin") }
        let script = Invocation.Script(path: Bytes("/home/ada/project/x.sh"), content: Bytes("#!/bin/sh\n"))
        let plan = try made(facts, accepting(), Invocation(.script(script, arguments: [])))
        #expect(text(plan.cwd) == Self.copy + "/src")
        #expect(plan.words.contains("PATH=\(Self.copy)/bin:/usr/bin"))
        #expect(plan.words.contains("TMPDIR=/home/ada/.local/state/aegix/runs/1/confined/tmp"))
        #expect(plan.command.argv.last.map(text) == Self.copy + "/x.sh")
        #expect(plan.confined?.script == nil)
        let outside = Invocation.Script(path: Bytes("/home/ada/y.sh"), content: Bytes("#!/bin/sh\n"))
        let other = try made(facts, accepting(), Invocation(.script(outside, arguments: [])))
        #expect(other.confined?.script?.path == other.command.argv.last)
    }

    @Test func whenRootCallsTheOwnerIsWhomItIs() throws {
        let plan = try made(bare { $0.uid = 0 }, accepting())
        #expect(plan.identity.outsideUID == 1000 && plan.identity.insideUID == 1000)
        #expect(plan.confined?.owner == .init(uid: 1000, gid: 1000))
        #expect(plan.confined?.place == Bytes("/var/tmp/aegix-1"))
    }

    @Test func noCallMakesAChannelOrReachesPastLandlock() throws {
        let calls = try made(bare(), accepting()).syscalls.plan
        let handled = SyscallPlan.refusedConfined.union(SyscallPlan.emulated).union(["socket"])
        #expect(handled.intersection(calls.allowed + calls.conditional.map(\.call)) == [])
        #expect(handled.isDisjoint(with: SyscallPlan.scheduling))
        let pair = try #require(calls.conditional.first { $0.call == "socketpair" })
        // A datagram socket could be sent anywhere.
        #expect(!pair.alternatives.contains { $0.contains { $0.argument == 1 && $0.value == 2 } })
        #expect(pair.alternatives.allSatisfy { $0.contains { $0.argument == 1 } })
    }
}
