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
