// Pure. The one place where a run's tier is chosen: the best that the host can give, never below what the policy accepts.

import AegixPolicy
import AegixSystem

public enum TierPlan {
    enum Choice: Equatable {
        case sealed(CgroupPlace)
        case isolated
        /// With why it isn't more.
        case confined(reason: String)
    }

    /// A policy that accepts no less than isolated gets isolated, without a probe: if the host can't, the launch fails and
    /// says why.
    static func choose(policy: Policy, facts: HostFacts) -> Choice {
        if policy.require == .confined, case .refused(let reason, _) = facts.namespaces {
            return .confined(reason: reason)
        }
        // Without a limit that a cgroup holds better there is nothing to be in one for: processes are counted exactly
        // without, and a hierarchy that the caller never asked about stays as it is.
        let asks = policy.limits.memory != nil || policy.limits.cpus != nil || policy.require == .sealed
        // Sealed says that all namespaces are the run's own.
        if asks, policy.network.mode != .host, let place = facts.cgroup { return .sealed(place) }
        return .isolated
    }

    /// Signals and abstract sockets are scoped from here on.
    public static let leastABI = 6

    /// What a command executes, connects to and is refused is read from its memory, which Yama may keep from everybody (3) or from
    /// those without power over the process's user namespace (2). A sandbox's own namespace belongs to its caller; the host's,
    /// where a confined command stays, doesn't.
    static func checkSight(facts: HostFacts, isConfined: Bool) throws(Failure) {
        if facts.ptraceScope < (isConfined ? 2 : 3) { return }
        let lost = "nothing that the command executes could be recorded or judged"
        if facts.ptraceScope < 3 {
            throw Failure(
                "tier.ptrace",
                "kernel.yama.ptrace_scope is \(facts.ptraceScope), and tier confined needs 0 or 1, or \(lost). Set it with "
                    + "`sudo sysctl -w kernel.yama.ptrace_scope=1`")
        }
        throw Failure(
            "tier.ptrace",
            "kernel.yama.ptrace_scope is \(facts.ptraceScope), where no process may look into another: \(lost). It can't be "
                + "lowered before the next boot: set kernel.yama.ptrace_scope=\(isConfined ? 1 : 2) in /etc/sysctl.d")
    }

    /// What tier confined can't do, asked for by this policy on this host.
    static func checkConfined(policy: Policy, facts: HostFacts) throws(Failure) {
        if facts.landlockABI < leastABI {
            let found = facts.landlockABI < 1 ? "has none" : "has ABI \(facts.landlockABI)"
            throw Failure(
                "tier.landlock",
                "tier confined needs Landlock ABI \(leastABI), which Linux 6.12 brought, so that signals stay inside: this "
                    + "host \(found). Use a newer kernel, or allow namespaces (`aegix doctor` shows how)")
        }
        if facts.uid == 0, facts.workspace.uid == 0 {
            throw Failure(
                "tier.root",
                "tier confined isn't for root: without a user namespace the command would be the host's own root. Run "
                    + "aegix as another user, or give the workspace to one, who the command will then be: "
                    + "`chown -R USER: \(facts.workspace.path.shown)`")
        }
        if policy.identity == .nobody {
            throw Failure(
                "tier.identity",
                "tier confined can't make the command another user (`identity.user = \"nobody\"`): that needs a user "
                    + "namespace. Use `keep`")
        }
        if let first = policy.capabilities.first {
            throw Failure(
                "tier.capabilities",
                "tier confined can't keep \(first): a capability needs a user namespace of the sandbox's own, or it "
                    + "would be one over the host")
        }
    }
}

extension Plan {
    /// Whether a plan of these would be of tier confined.
    public static func isConfined(policy: Policy, facts: HostFacts) -> Bool {
        if case .confined = TierPlan.choose(policy: policy, facts: facts) { return true }
        return false
    }
}
