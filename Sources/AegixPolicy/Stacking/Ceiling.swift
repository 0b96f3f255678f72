// Pure. The machine's ceiling: it grants nothing, it caps.

import AegixSystem

/// What `/etc/aegix/policy.toml` says at most. A key that it leaves out isn't capped, but for one: where it lists what may
/// be read and not what may be written, nothing may be written, because what can be written can be read.
public struct Ceiling: Sendable {
    var policy: Policy
    var keys: Set<PolicyKey>
    var origins: [PolicyKey: String]
    let source: String

    public init(_ chain: PolicyChain, anchors: PolicyAnchors) throws(PolicyErrors) {
        let layered = try LayeredPolicy(chain, anchors: anchors)
        policy = layered.policy
        keys = chain.allKeys
        origins = layered.origins
        source = chain.links.last?.source.name ?? "the ceiling"
        if keys.contains(.filesRead) { keys.insert(.filesWrite) }
        // Only as long as names are what counts does a list of them hold.
        if keys.contains(.networkAllow), !keys.contains(.networkMode) {
            policy.network.mode = .allow
            keys.insert(.networkMode)
        }
        // And only as long as nobody adds to it by saying yes.
        if keys.contains(.networkAllow), !policy.network.mode.passesNames { keys.insert(.networkUnknown) }
        if keys.contains(.commandsDefault) { keys.insert(.commandsRule) }
    }

    func loosenings(of child: Policy, anchors: PolicyAnchors) -> [Loosening] {
        Narrowing.loosenings(of: child, beyond: policy, keys: keys, anchors: anchors)
    }

    func explain(_ loosening: Loosening) -> String {
        let place = origins[loosening.key] ?? source
        return "\(loosening.key.rawValue) is above the machine's ceiling (\(place)): \(loosening.reason)"
    }
}

extension LayeredPolicy {
    /// Cuts defaults and presets down to the ceiling. What the user's own files wrote above it is an error instead: they
    /// would be wrong about what they get.
    public mutating func cut(to ceiling: Ceiling, _ chain: PolicyChain) throws(PolicyErrors) {
        let looser = ceiling.loosenings(of: policy, anchors: anchors)
        defer { policy.network.settle() }
        if looser.isEmpty { return bindToCeiling(ceiling) }
        let errors = looser.filter { chain.written.contains($0.key) }.map { loosening in
            let draft = chain.links.last { $0.draft.settings[loosening.key] != nil && !$0.source.isPreset }?.draft
            return PolicyError(
                file: draft?.source ?? ceiling.source, position: draft?.settings[loosening.key]?.position,
                message: ceiling.explain(loosening))
        }
        if !errors.isEmpty { throw PolicyErrors(errors) }
        let uncut = self
        for key in Set(looser.map(\.key)) {
            // The rules are cut by the default that they were written under, so both keys change at once.
            if key.table == .commands {
                policy.commands = uncut.policy.commands.cut(to: ceiling.policy.commands)
            } else {
                policy.set(key, uncut.lower(key, ceiling))
            }
            origins[key] = ceiling.origins[key] ?? ceiling.source
        }
        // Dropping paths can free a read entry that took a right away: nothing but the ceiling's own is left then.
        let left = ceiling.loosenings(of: policy, anchors: anchors)
        if left.contains(where: { $0.key.table == .files }) {
            policy.files.write = []
            policy.files.read = ceiling.keys.contains(.filesRead) ? ceiling.policy.files.read : []
        }
        if let still = ceiling.loosenings(of: policy, anchors: anchors).first {
            throw PolicyErrors(ceiling.source, nil, ceiling.explain(still))
        }
        bindToCeiling(ceiling)
    }

    mutating func bindToCeiling(_ ceiling: Ceiling) {
        if ceiling.keys.contains(.filesRead) || ceiling.keys.contains(.filesWrite) { bind(to: ceiling.policy) }
    }

    /// The most of a key that both allow.
    private func lower(_ key: PolicyKey, _ ceiling: Ceiling) -> Setting.Value {
        let most = ceiling.policy
        func joined(_ own: [String], _ wanted: [String]) -> [String] { own + wanted.filter { !own.contains($0) } }
        let (own, theirs) = (FileRules(policy, anchors), FileRules(most, anchors))
        switch key {
        case .lock:
            return .words(Policy.Table.allCases.filter { policy.lock.union(most.lock).contains($0) }.map(\.rawValue))
        case .workspaceKeep:
            let both = policy.workspace.keep.intersection(most.workspace.keep)
            return .words(Policy.Workspace.Kept.allCases.filter(both.contains).map(\.rawValue))
        case .workspaceProtect: return .words(joined(policy.workspace.protect, most.workspace.protect))
        case .filesRead:
            let kept = own.read.filter { theirs.readable($0) != nil }.map(\.rule)
            let freed = own.freed(from: theirs).map(\.rule)
            return .paths(kept + freed.filter { rule in !kept.contains { $0.pattern == rule.pattern } })
        case .filesWrite: return .paths(own.write.filter { theirs.writable($0) != nil }.map(\.rule))
        case .filesDeny: return .paths(policy.files.deny + own.undenied(from: theirs).map(\.rule))
        case .approvalVia: return .word(Policy.Approval.Via.deny.rawValue)
        case .envPass:
            return .words(
                policy.env.pass.filter { name in most.env.pass.contains { EnvironmentName.covers($0, name) } })
        case .envSet:
            // One that both set alike stays; one that would uncover the caller's value comes back.
            let same = policy.env.set.filter { most.env.set[$0.key] == $0.value }
            let covering = most.env.set.filter { name, _ in
                name == "PATH" || policy.env.pass.contains { EnvironmentName.covers($0, name) }
            }
            return .bindings(same.merging(covering) { _, ceiling in ceiling })
        case .secrets: return .secrets(policy.secrets.filter { most.secrets[$0.key] == $0.value })
        case .artifactsCollect:
            return .words(policy.artifacts.collect.filter { InsidePattern.covers(most.artifacts.collect, $0) })
        case .networkAllow:
            return .hosts(policy.network.allow.filter { NetworkNarrowing.covers($0.pattern, by: most.network) })
        case .networkDeny:
            let missing = NetworkNarrowing.undenied(policy.network, most.network)
            return .hosts(policy.network.deny + missing)
        case .capabilities: return .words(policy.capabilities.filter(most.capabilities.contains))
        default: return most.value(of: key)
        }
    }
}
