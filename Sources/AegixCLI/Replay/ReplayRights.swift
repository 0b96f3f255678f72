// Pure. What a replay may do: what the record's policy allowed, without what reaches beyond the replay.

import AegixAudit
import AegixPolicy
import AegixSystem

/// Changes the recorded policy to the replay's, and tells what that makes different. The one place that decides it.
///
/// Never more than was recorded: nothing is written in place, nobody is asked, nothing is signed, and there is no network but where
/// the caller asked for the recorded one. Of a stranger's bundle nothing is taken that names something of this host.
struct ReplayRights {
    let record: JSON
    let isStranger: Bool
    let options: ReplayOptions
    let host: Host
    private(set) var differences: [Difference] = []

    /// What is asked of this machine. Nothing is, for a bundle.
    struct Host {
        /// Whether the caller has what a secret comes from.
        var hasSecret: (Policy.SecretSource) -> Bool
        var isThere: (Bytes) -> Bool
    }

    init(
        _ record: JSON, isStranger: Bool, _ options: ReplayOptions, host: Host
    ) {
        self.record = record
        self.isStranger = isStranger
        self.options = options
        self.host = host
    }

    mutating func narrow(_ policy: inout Policy) {
        if policy.workspace.mode != .readOnly { policy.workspace.mode = .layer }
        policy.workspace.sandbox = .run
        policy.workspace.keep = []
        policy.approval = Policy.Approval()
        policy.approval.via = .deny
        policy.audit.durable = false
        policy.audit.sign = ""
        // Whether what wasn't kept is read, shows only where reads are watched.
        if policy.audit.inputs == .read { policy.audit.detail = .files }
        policy.audit.inputs = .none
        files(&policy)
        network(&policy)
        environment(&policy)
        if let given = options.timeout?.amount {
            policy.limits.wall = policy.limits.wall.map { min($0, given) } ?? given
        }
        if isStranger { distrust(&policy) }
        let asked = record["processes"]?.array?.contains { $0["approval"]?.object != nil } ?? false
        if asked {
            differences.append(
                Difference(
                    .policy, Bytes("approval"), before: Bytes("somebody was asked"), after: Bytes("denied"),
                    note: "a replay asks nobody"))
        }
    }

    /// By the paths that the patterns led to then.
    private mutating func files(_ policy: inout Policy) {
        var read: [Policy.PathRule] = []
        for view in record["views"]?.array ?? [] {
            guard let path = view["path"]?.bytesValue, Path.isAbsolute(path) else { continue }
            let isWritten = view["access"]?.string == "write"
            if isStranger {
                differences.append(
                    Difference(.inputs, path, before: Bytes("in view"), note: "a bundle has nothing of what lay there"))
                continue
            }
            if !host.isThere(path) {
                differences.append(
                    Difference(.inputs, path, before: Bytes("in view"), note: "isn't there any more"))
                continue
            }
            read.append(.init(pattern: PathPattern(literal: path).text, origin: "the record"))
            if isWritten {
                differences.append(
                    Difference(
                        .inputs, path, before: Bytes("written in place"), after: Bytes("read-only"),
                        note: "a replay writes to its own layer only"))
            }
        }
        policy.files.read = read
        policy.files.write = []
    }

    private mutating func network(_ policy: inout Policy) {
        if policy.network.mode == .none || options.network { return }
        let used = record["network"]?.array?.isEmpty == false || policy.network.mode == .host
        if used {
            differences.append(
                Difference(
                    .network, Bytes("network.mode"), before: Bytes(policy.network.mode.rawValue), after: Bytes("none"),
                    note: isStranger
                        ? "a bundle is replayed without a network"
                        : "a replay has no network unless --network asks for it"))
        }
        policy.network = Policy.Network()
    }

    /// What was set by an option is nowhere recorded but by name.
    private mutating func environment(_ policy: inout Policy) {
        // Of a few names the value is recorded whoever gave it.
        let recorded = Dictionary(
            (record["environment"]?.array ?? []).compactMap { variable in
                variable["name"]?.string.map { ($0, variable["value"]?.bytesValue) }
            }, uniquingKeysWith: { first, _ in first })
        for (name, value) in policy.env.set {
            if let given = options.environment[name] {
                policy.env.set[name] = given
            } else if value == RunPreparation.notRecorded, let known = recorded[name] ?? nil {
                policy.env.set[name] = known
            } else if value == RunPreparation.notRecorded {
                policy.env.set[name] = nil
                differences.append(
                    Difference(
                        .environment, Bytes(name), before: Bytes("set by an option, value not recorded"),
                        note: "isn't set; --env \(name)=VALUE gives it"))
            } else if isRedacted(value) {
                policy.env.set[name] = nil
                differences.append(
                    Difference(.environment, Bytes(name), before: value, note: "isn't set: it held a secret"))
            }
        }
        policy.env.set.merge(options.environment) { _, given in given }
        for (name, source) in policy.secrets.sorted(by: { $0.key < $1.key }) where isStranger || !host.hasSecret(source)
        {
            policy.secrets[name] = nil
            differences.append(
                Difference(
                    .environment, Bytes(name), before: Bytes("a secret"),
                    note: isStranger ? "no secret is handed to a bundle" : "isn't set: its source isn't there any more")
            )
        }
    }

    private func isRedacted(_ value: Bytes) -> Bool {
        let mark = Bytes("[redacted:")
        return value.count >= mark.count
            && (0...(value.count - mark.count)).contains { value[$0..<$0 + mark.count].elementsEqual(mark) }
    }

    /// Whether a pattern is about what a bundle's replay has in view: its workspace and the base system.
    private static func isInside(_ text: Bytes) -> Bool {
        do throws(PathPattern.Defect) {
            let pattern = try PathPattern(text)
            if pattern.anchor == .workspace || pattern.components.first == .anyDepth { return true }
            return pattern.anchor == .root && ["usr", "etc"].contains { pattern.literalPrefix.first == Bytes($0) }
        } catch {
            return false
        }
    }

    /// Limits that a stranger left open are those of somebody who says nothing.
    private func distrust(_ policy: inout Policy) {
        policy.capabilities = []
        policy.require = max(policy.require, .isolated)
        policy.files.deny.removeAll { !ReplayRights.isInside($0.pattern) }
        let usual = Policy.Limits()
        func least(_ one: UInt64?, _ other: UInt64?) -> UInt64? {
            guard let one, let other else { return one ?? other }
            return min(one, other)
        }
        policy.limits.wall = least(policy.limits.wall, usual.wall)
        policy.limits.grace = min(policy.limits.grace, 10_000_000_000)
        policy.limits.output = least(policy.limits.output, usual.output)
        policy.limits.execs = least(policy.limits.execs, 100_000)
        policy.limits.openFiles = least(policy.limits.openFiles, 4096)
        policy.limits.pids = least(policy.limits.pids, 4096)
        policy.limits.disk = least(policy.limits.disk, 8 << 30)
        policy.artifacts.maxBytes = min(policy.artifacts.maxBytes, 1 << 30)
    }
}
