// Pure. The one place that knows, key by key, which of two policies allows more.

import AegixSystem

/// A key in which a child allows what its parent doesn't.
public struct Loosening: Equatable, Sendable {
    public var key: PolicyKey
    /// `"direct" is looser than "layer"`
    public var reason: String
}

public enum Narrowing {
    /// Empty when the child allows nothing that the parent doesn't. What can't be proven narrower counts as looser.
    /// A parent with few `keys` says nothing on the others.
    public static func loosenings(
        of child: Policy, beyond parent: Policy, keys: Set<PolicyKey> = Set(PolicyKey.allCases), anchors: PolicyAnchors
    ) -> [Loosening] {
        var found: [Loosening] = []
        for key in PolicyKey.allCases where keys.contains(key) {
            found += reasons(key, child, parent, anchors).map { Loosening(key: key, reason: $0) }
        }
        return found
    }

    private static func reasons(
        _ key: PolicyKey, _ child: Policy, _ parent: Policy, _ anchors: PolicyAnchors
    ) -> [String] {
        func looser(_ isLooser: Bool) -> [String] {
            if !isLooser { return [] }
            let (own, other) = (child.value(of: key), parent.value(of: key))
            return ["\(PolicyText.toml(own, of: key)) is looser than \(PolicyText.toml(other, of: key))"]
        }
        switch key {
        case .require: return looser(child.require < parent.require)
        case .lock: return missing(parent.value(of: key), in: child.value(of: key))
        case .identityUser: return looser(child.identity == .keep && parent.identity == .nobody)
        case .workspaceBacking: return looser(backing(child.workspace.backing) > backing(parent.workspace.backing))
        case .workspaceKeep:
            return child.workspace.keep.subtracting(parent.workspace.keep).map { "adds \"\($0.rawValue)\"" }.sorted()
        case .workspaceSandbox:
            return looser(child.workspace.sandbox == .workspace && parent.workspace.sandbox == .run)
        case .workspaceMode: return looser(reach(child.workspace.mode) > reach(parent.workspace.mode))
        case .workspaceProtect: return missing(parent.value(of: key), in: child.value(of: key))
        case .filesRead, .filesWrite, .filesDeny:
            return files(key, FileRules(child, anchors), FileRules(parent, anchors))
        case .networkMode: return looser(child.network.mode.reach > parent.network.mode.reach)
        case .networkAllow, .networkDeny, .networkUnknown, .networkInspect, .networkResolvers:
            return NetworkNarrowing.reasons(key, child.network, parent.network)
        case .wall: return looser(isMore(child.limits.wall, parent.limits.wall))
        case .grace: return looser(child.limits.grace > parent.limits.grace)
        case .cpuTime: return looser(isMore(child.limits.cpuTime, parent.limits.cpuTime))
        case .cpus: return looser(isMore(child.limits.cpus, parent.limits.cpus))
        case .memory: return looser(isMore(child.limits.memory, parent.limits.memory))
        case .pids: return looser(isMore(child.limits.pids, parent.limits.pids))
        case .disk: return looser(isMore(child.limits.disk, parent.limits.disk))
        case .output: return looser(isMore(child.limits.output, parent.limits.output))
        case .onOutput: return looser(child.limits.onOutput == .truncate && parent.limits.onOutput == .kill)
        case .openFiles: return looser(isMore(child.limits.openFiles, parent.limits.openFiles))
        case .execs: return looser(isMore(child.limits.execs, parent.limits.execs))
        case .envPass: return passed(child.env, parent.env)
        case .envSet: return bound(child.env, parent.env)
        case .secrets:
            return child.secrets.keys.sorted().filter { child.secrets[$0] != parent.secrets[$0] }
                .map { parent.secrets[$0] == nil ? "adds \($0)" : "takes \($0) from elsewhere" }
        case .capabilities:
            return child.capabilities.filter { !parent.capabilities.contains($0) }.map { "adds \"\($0)\"" }
        case .artifactsCollect:
            return child.artifacts.collect.filter { !InsidePattern.covers(parent.artifacts.collect, $0) }
                .map { "adds \"\(Bytes($0).shown)\"" }
        case .artifactsMaxBytes: return looser(child.artifacts.maxBytes > parent.artifacts.maxBytes)
        case .commandsDefault, .commandsRule:
            return child.commands.loosenings(beyond: parent.commands).filter { $0.key == key }.map(\.reason)
        case .approvalVia:
            // Another way of asking is another person's yes.
            return looser(child.approval.via != parent.approval.via && child.approval.via != .deny)
        case .approvalCommand:
            // It runs on the host.
            return looser(child.approval.command != parent.approval.command && !child.approval.command.isEmpty)
        case .approvalTimeout: return looser(child.approval.timeout > parent.approval.timeout)
        case .detail: return looser(child.audit.detail == .processes && parent.audit.detail == .files)
        case .inputs: return looser(kept(child.audit.inputs) < kept(parent.audit.inputs))
        case .durable: return looser(!child.audit.durable && parent.audit.durable)
        case .pinnedHostname, .seed, .pinnedProcessors, .addressRandomness, .pinnedEnvironment, .clock:
            return repinned(key, child, parent)
        // Whose word a record is, is the parent's to say.
        case .sign: return looser(child.audit.sign != parent.audit.sign)
        }
    }

    /// Nothing that is pinned is a right, so any later policy may pin more, less or otherwise, unless the table is locked: predictable
    /// random numbers are nothing for a workspace to ask for where keys are made.
    private static func repinned(_ key: PolicyKey, _ child: Policy, _ parent: Policy) -> [String] {
        let (own, other) = (child.value(of: key), parent.value(of: key))
        if own == other || !parent.lock.contains(.determinism) { return [] }
        return [
            "\(PolicyText.toml(own, of: key)) isn't \(PolicyText.toml(other, of: key)), and [determinism] is locked"
        ]
    }

    /// nil is no limit.
    private static func isMore(_ child: UInt64?, _ parent: UInt64?) -> Bool {
        guard let parent else { return false }
        return child.map { $0 > parent } ?? true
    }

    /// A copy is exact, and refusing is safe; what may be either is the loosest.
    private static func backing(_ backing: Policy.Workspace.Backing) -> Int {
        switch backing {
        case .copy: 0
        case .overlay: 1
        case .auto: 2
        }
    }

    private static func kept(_ inputs: Policy.Audit.Inputs) -> Int {
        switch inputs {
        case .none: 0
        case .read: 1
        case .all: 2
        }
    }

    private static func reach(_ mode: Policy.Workspace.Mode) -> Int {
        switch mode {
        case .readOnly: 0
        case .layer: 1
        case .apply: 2
        case .direct: 3
        }
    }

    private static func missing(_ parent: Setting.Value, in child: Setting.Value) -> [String] {
        guard case .words(let wanted) = parent, case .words(let held) = child else { return [] }
        return wanted.filter { !held.contains($0) }.map { "leaves out \"\(Bytes($0).shown)\"" }
    }

    private static func files(_ key: PolicyKey, _ child: FileRules, _ parent: FileRules) -> [String] {
        func name(_ entry: FileRules.Entry) -> String { "\"\(entry.rule.pattern.shown)\"" }
        switch key {
        case .filesRead:
            let added = child.read.filter { parent.readable($0) == nil }
            return added.map { "\(name($0)) isn't provably within what may be read" }
                + child.freed(from: parent).map { "leaves out \(name($0)), which would become writable" }
        case .filesWrite:
            return child.write.filter { parent.writable($0) == nil }
                .map { "\(name($0)) isn't provably within what may be written" }
        default: return child.undenied(from: parent).map { "leaves out \(name($0))" }
        }
    }

    private static func passed(_ child: Policy.Environment, _ parent: Policy.Environment) -> [String] {
        child.pass.filter { name in !parent.pass.contains { EnvironmentName.covers($0, name) } }.map {
            "adds \"\($0)\""
        }
    }

    /// Any new variable can steer a program (LD_PRELOAD, PYTHONPATH, GIT_*), and so can the caller's value behind one
    /// that isn't set any more. Values aren't quoted: the caller's `--env` may hold a secret.
    private static func bound(_ child: Policy.Environment, _ parent: Policy.Environment) -> [String] {
        let changed = child.set.keys.sorted().filter { child.set[$0] != parent.set[$0] }
        let uncovered = parent.set.keys.sorted().filter { name in
            // PATH comes from the caller when nobody sets it.
            child.set[name] == nil && (name == "PATH" || child.pass.contains { EnvironmentName.covers($0, name) })
        }
        return changed.map { parent.set[$0] == nil ? "adds \($0)" : "changes \($0)" }
            + uncovered.map { "leaves out \($0), and the caller's value would come through" }
    }
}
