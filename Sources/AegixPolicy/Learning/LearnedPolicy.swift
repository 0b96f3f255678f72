// Pure. Observations × the policy that they were made under ─► a narrower policy, each entry with what asked for it.

import AegixSystem

/// A proposal. It allows nothing that the policy it was learned under doesn't: `init` proves it with the rule that holds layers
/// of policy to one another, and takes the other's value where it can't be proven.
public struct LearnedPolicy: Sendable {
    public var policy: Policy
    /// Why a key is as it is, for keys that were learned.
    var reasons: [PolicyKey: String] = [:]
    /// What asked for each entry of a list, in the list's order.
    var entryReasons: [PolicyKey: [String]] = [:]
    /// What was used and isn't in the policy, and why.
    public var leftOut: [String] = []

    /// What was learned, for a program: each value in TOML, with its reason.
    public var entries: [(key: String, value: String, reason: String)] {
        PolicyKey.allCases.flatMap { key -> [(String, String, String)] in
            if let reasons = entryReasons[key], !reasons.isEmpty {
                return zip(LearnedText.items(policy.value(of: key), of: key), reasons).map { (key.rawValue, $0, $1) }
            }
            guard let reason = reasons[key] else { return [] }
            return [(key.rawValue, PolicyText.toml(policy.value(of: key), of: key), reason)]
        }
    }

    /// - within: with what the run's options added.
    /// - canHold: execs can be held for judging here.
    /// - fixed: keys that a policy of the workspace writes: it is laid over the learned one later, and may only narrow it.
    public init(
        _ seen: Observations, within: Policy, anchors: PolicyAnchors, canHold: Bool, fixed: Set<PolicyKey> = []
    ) {
        policy = within
        policy.name = "learned-" + LearnedPolicy.name(seen.command)
        policy.secrets = [:]
        for name in within.secrets.keys.sorted() {
            leftOut.append("secret \(name): never learned. Add it under [secrets], or give it with --secret")
        }
        learnWorkspace(seen, within)
        LearnedFiles(seen, within, anchors).put(into: &self)
        LearnedNetwork(seen, within).put(into: &self)
        LearnedCommands(seen, within, anchors, canHold: canHold).put(into: &self)
        learnLimits(seen, within)
        keep(fixed, of: within, "kept: aegix.toml of the workspace says so")
        giveBack(within, anchors)
    }

    /// The other's values, of these keys and those that mean something only together with them.
    private mutating func keep(_ keys: Set<PolicyKey>, of within: Policy, _ reason: String) {
        let tables: Set<Policy.Table> = [.files, .commands, .network]
        for key in keys where key != .secrets {
            for other in PolicyKey.allCases
            where other == key || other.table == key.table && key.table.map(tables.contains) ?? false {
                policy.set(other, within.value(of: other))
                reasons[other] = reason
                entryReasons[other] = nil
            }
        }
    }

    private mutating func learnWorkspace(_ seen: Observations, _ within: Policy) {
        if within.workspace.mode == .readOnly {
            reasons[.workspaceMode] = "kept"
        } else if let change = seen.workspaceChange {
            let by = change.by.isEmpty ? "" : " by \(LearnedText.program(change.by))"
            reasons[.workspaceMode] = "changed\(by): \(LearnedText.short(change.path))"
        } else {
            policy.workspace.mode = .readOnly
            reasons[.workspaceMode] = "nothing was changed in it"
        }
        if !policy.workspace.mode.hasLayer, policy.workspace.sandbox == .workspace || !policy.workspace.keep.isEmpty {
            policy.workspace.sandbox = .run
            policy.workspace.keep = []
        }
    }

    /// With room for a larger input; never above what there was.
    private mutating func learnLimits(_ seen: Observations, _ within: Policy) {
        func least(_ own: UInt64, _ other: UInt64?) -> UInt64 { other.map { min(own, $0) } ?? own }
        let minute: UInt64 = 60_000_000_000
        let steps: [UInt64] = [5, 10, 15, 30, 60, 120, 240, 480, 1440]
        if let wall = steps.map({ $0 * minute }).first(where: { $0 >= seen.nanoseconds.saturating(times: 10) }) {
            policy.limits.wall = least(wall, within.limits.wall)
            reasons[.wall] = "took \(LearnedText.seconds(seen.nanoseconds))"
        }
        var memory: UInt64 = 1 << 30
        while memory < seen.peakBytes.saturating(times: 4), memory < 1 << 40 { memory *= 2 }
        policy.limits.memory = least(memory, within.limits.memory)
        reasons[.memory] = "used \(seen.peakBytes >> 20) MiB at most"
        var execs: UInt64 = 1000
        while execs < seen.execCount.saturating(times: 10), execs < 1 << 30 { execs *= 10 }
        policy.limits.execs = least(execs, within.limits.execs)
        reasons[.execs] = "had \(seen.execCount)"
    }

    /// A learned value that can't be proven to be narrower gives way to the one that it was learned under.
    private mutating func giveBack(_ within: Policy, _ anchors: PolicyAnchors) {
        for _ in 0..<3 {
            let looser = Narrowing.loosenings(of: policy, beyond: within, anchors: anchors)
            if looser.isEmpty { return }
            keep(Set(looser.map(\.key)), of: within, "kept: nothing narrower could be proven")
        }
        policy = within
        policy.secrets = [:]
    }

    private static func name(_ command: Bytes) -> String {
        let plain = Path.name(command).filter { byte in
            (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                || [0x2D, 0x2E, 0x5F].contains(byte)
        }
        return plain.isEmpty ? "command" : String(decoding: plain.prefix(40), as: UTF8.self)
    }
}

extension UInt64 {
    func saturating(times factor: UInt64) -> UInt64 {
        let (product, overflow) = multipliedReportingOverflow(by: factor)
        return overflow ? .max : product
    }
}
