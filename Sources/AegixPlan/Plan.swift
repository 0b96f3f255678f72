// Pure. Policy × HostFacts × Invocation ─► Plan: every choice about a run, as data. Nothing is done here.

import AegixPolicy
import AegixSystem
import AegixWorkspace
import Glibc

public struct Plan: Equatable, Sendable {
    public var tier: Tier
    public var identity: IdentityPlan
    public var steps: [Step]
    public var trees: [PreparedTree]
    public var landlock: LandlockPlan
    public var syscalls: SyscallSet
    public var network: NetworkPlan
    public var capabilities: [String]
    public var limits: Policy.Limits
    public var limitPlan: LimitPlan
    /// Where the run gets a cgroup of its own; nil: it has none.
    public var cgroup: CgroupPlace?
    /// How many processors the command can keep busy without any limit.
    public var processors: Int
    public var environment: [PlannedVariable]
    /// With the paths of its patterns as they are inside.
    public var commands = Policy.Commands()
    public var approval = Policy.Approval()
    public var command: CommandPlan
    public var cwd: Bytes
    public var home: Bytes
    public var workspace: Bytes
    public var workspaceMode: Policy.Workspace.Mode
    /// Where changes go, on the host; nil without a layer.
    public var layer: Bytes?
    /// The layer's workspace is a copy; nil: an overlay, or tier confined, whose plan has it.
    public var backing = Policy.Workspace.Backing.auto
    public var copy: WorkspaceCopy?
    /// What the policy brings into view beside the base system.
    public var views: [Bytes]
    /// Paths in view that are hidden, and why.
    public var hidden: [Hidden]
    /// What `files.deny` hides, with its rule: the record says when it is opened.
    public var masked: [Masked] = []
    public var determinism = DeterminismPlan()
    /// Tier confined: what stands in for the mounts.
    public var confined: ConfinedPlan?

    public static let hostname = "aegix"
    static let standardHome = Bytes("/home/aegix")
    /// In the run's directory, while it runs.
    public static let copyName = Bytes("copy")

    public struct Hidden: Equatable, Sendable {
        public var path: Bytes
        public var reason: String
    }

    public struct Masked: Equatable, Sendable {
        public var path: Bytes
        public var isDirectory: Bool
        /// `files.deny **/.env (policy.toml:14:9)`
        public var rule: String
    }

    /// - run: the run's own directory, canonical.
    /// - variation: what a replay has otherwise than the run that it repeats.
    ///
    /// The stages: who, what is in view, what is hidden, what may be called, what runs. Each stage's choice is in its
    /// own file. Not done here: looking at the host (HostFacts), and asking whether the host can do it (launch says).
    public static func make(
        policy: Policy, facts: HostFacts, invocation: Invocation, layer: LayerPlace?, run: Bytes = Bytes("/run"),
        variation: Variation = Variation()
    ) throws(Failure) -> Plan {
        let tier: Tier
        var cgroup: CgroupPlace?
        switch TierPlan.choose(policy: policy, facts: facts) {
        case .confined(let reason):
            return try confined(
                policy: policy, facts: facts, invocation: invocation, layer: layer, run: run, reason: reason,
                variation: variation)
        case .isolated: tier = .isolated
        case .sealed(let place): (tier, cgroup) = (.sealed, place)
        }
        var identity = IdentityPlan.make(policy.identity, facts: facts)
        if policy.determinism.env, identity.insideUID != 0, policy.identity != .nobody {
            identity.userName = Bytes("aegix")
        }
        try Plan.check(policy: policy, facts: facts)
        try TierPlan.checkSight(facts: facts, isConfined: false)
        try NetworkPlan.check(policy, facts: facts)
        let network = try NetworkPlan.make(policy.network)
        try SecretPlan.check(policy: policy, facts: facts)
        let shifted = facts.uid == 0
        let workspace = facts.workspace
        let home = Plan.home(facts: facts, pinned: policy.determinism.env ? Plan.standardHome : nil, variation)
        let scratch = [Bytes("/tmp"), Bytes("/dev/shm"), home].filter { $0 != workspace.path }

        var view = WorkspaceView(shifted: shifted)
        var copy = try Plan.copy(policy, facts: facts, layer: layer, run: run)
        // First: the workspace may lie beneath /tmp, and then on top of it.
        for (kept, path) in [(layer?.tmp, Bytes("/tmp")), (layer?.home, home)] where scratch.contains(path) {
            if let kept { view.keep(kept, at: path) }
        }
        // Parents before children, so that a view inside another lies on top of it.
        var views: [(fact: PathFact, kind: ViewKind)] = facts.reads.map { ($0, .read) }
        views += facts.writes.map { ($0, .write) }
        views.append((workspace, .workspace))
        views.sort { ($0.fact.path.count, $0.kind.rawValue) < ($1.fact.path.count, $1.kind.rawValue) }
        for (fact, kind) in views {
            switch kind {
            case .workspace:
                if let copy {
                    view.add(copy: copy, of: fact)
                } else {
                    try view.add(
                        workspace: fact, mode: policy.workspace.mode, layer: layer, durable: policy.audit.durable)
                }
            case .read: view.add(read: fact)
            case .write: view.add(write: fact)
            }
        }
        let roots = views.map(\.fact.path) + BaseView.rootPaths
        if case .script(let script, _) = invocation.form, !roots.contains(where: { Path.contains($0, script.path) }) {
            view.add(script: script)
        }
        let hidden = Plan.hidden(facts: facts, views: roots)
        copy?.leftOut = hidden.map(\.path).filter { Path.contains(workspace.path, $0) }.map(workspace.onHost)
        // What is written there outlives the run: in place, or in a layer that is applied or that the next run finds.
        var writable = facts.writes.map(\.path)
        if policy.workspace.mode != .readOnly { writable.append(workspace.path) }
        for path in views.map(\.fact.path) + hidden.map(\.path) {
            for root in writable where root != path && Path.contains(root, path) { view.pin(path, beneath: root) }
        }
        for item in hidden { view.hide(item.path, isDirectory: item.isDirectory) }

        let cwd = Path.contains(workspace.path, facts.cwd) ? facts.cwd : workspace.path
        let environment = EnvironmentPlan.make(
            policy: policy.env, facts: facts, home: home, user: identity.userName,
            path: EnvironmentPlan.path(facts: facts, views: roots),
            pinned: DeterminismPlan.variables(policy.determinism), variation: variation)
        let staging: [Step] = [
            .directory(Staging.empty, mode: 0o755), .directory(Staging.deniedDirectory, mode: 0),
            .file(Staging.deniedFile, content: [], mode: 0),
        ]
        var limits = LimitPlan.make(policy.limits, tier: tier, processors: facts.processors)
        var determinism = DeterminismPlan.make(
            policy.determinism, variation, limits: &limits, processors: facts.processors)
        let processors = limits.processors ?? facts.processors
        determinism.tell(
            policy, variation, identity: identity, environment: environment, home: home, processors: processors,
            isConfined: false)
        let masked = Plan.masked(policy, facts: facts)
        var syscalls = limits.syscalls
        syscalls.watchesConnects = network.mode != .host
        syscalls.watchesOpens = !masked.isEmpty && tier != .confined
        syscalls.watchesReads = policy.audit.detail == .files || policy.audit.inputs == .read
        syscalls.judgesExecs = policy.commands.judges
        determinism.apply(to: &syscalls)
        return Plan(
            tier: tier, identity: identity,
            steps: staging
                + BaseView.steps(
                    facts: facts, identity: identity, home: home, scratch: scratch, network: network,
                    hostname: determinism.hostname)
                + (determinism.takesFirstProcessors ? DeterminismPlan.processorFiles(processors) : [])
                + SecretPlan.steps(facts.secrets) + view.steps,
            trees: view.trees,
            landlock: LandlockPlan.make(
                abi: facts.landlockABI, writable: scratch + view.writable,
                judges: policy.commands.judges),
            syscalls: syscalls, network: network, capabilities: policy.capabilities, limits: policy.limits,
            limitPlan: limits,
            cgroup: cgroup,
            processors: facts.processors,
            environment: environment,
            commands: policy.commands.anchored(home: facts.home ?? home, workspace: workspace.path),
            approval: policy.approval,
            command: try CommandPlan.make(invocation, path: EnvironmentPlan.searched(environment), cwd: cwd),
            cwd: cwd, home: home, workspace: workspace.path, workspaceMode: policy.workspace.mode,
            layer: copy?.destination ?? layer.map { Path.join($0.directory, Bytes("upper")) },
            backing: policy.workspace.backing, copy: copy,
            views: views.map(\.fact.path),
            hidden: hidden.map { Hidden(path: $0.path, reason: $0.reason) }, masked: masked,
            determinism: determinism)
    }

    private static func masked(_ policy: Policy, facts: HostFacts) -> [Masked] {
        if facts.denied.isEmpty { return [] }
        let patterns = Dictionary(policy.files.deny.map { ($0.origin, $0.pattern) }) { first, _ in first }
        return facts.denied.map { item in
            let pattern = patterns[item.origin].map { $0.shown + " " } ?? ""
            return Masked(
                path: item.path, isDirectory: item.isDirectory, rule: "files.deny \(pattern)(\(item.origin))")
        }
    }

    /// PATH inside.
    public var search: [Bytes] { EnvironmentPlan.searched(environment) }

    /// The workspace's overlay couldn't be mounted, and the policy takes a copy then.
    public func takesCopy(instead failure: Failure) -> Bool {
        let isMissing = failure.code == Plan.noOverlay || failure.code == Plan.noOwnerMap && failure.errno == EINVAL
        return isMissing && backing == .auto && copy == nil && workspaceMode.hasLayer
    }

    /// The code of a layer's overlay that can't be mounted.
    public static let noOverlay = "launch.overlay"
    /// The code of a mount that can't be id-mapped, which a run by root wants of what the command may write to.
    public static let noOwnerMap = "launch.idmap"

    private static func copy(
        _ policy: Policy, facts: HostFacts, layer: LayerPlace?, run: Bytes
    ) throws(Failure) -> WorkspaceCopy? {
        guard policy.workspace.mode.hasLayer, policy.workspace.backing == .copy else { return nil }
        guard let layer else { throw Failure("plan.layer", "a layer needs a run directory to keep it in") }
        var copy = WorkspaceCopy(
            source: facts.workspace.host, device: facts.workspace.device, inode: facts.workspace.inode,
            destination: Path.join(Path.join(run, copyName), Bytes("workspace")),
            upper: Path.join(layer.directory, Bytes("upper")), leftOut: [])
        copy.keepsPlaces = true
        copy.keepsOwners = facts.uid == 0
        if facts.uid == 0, !facts.mapsOwners { copy.shift = IdentityPlan.shifts(facts) }
        return copy
    }

    private enum ViewKind: Int { case read, write, workspace }

    /// The caller's own home path, private and empty, so that `~` means the same inside; another place where the
    /// workspace covers it.
    private static func home(facts: HostFacts, pinned: Bytes?, _ variation: Variation) -> Bytes {
        let taken = [facts.workspace.path] + facts.writes.map(\.path) + facts.reads.map(\.path)
        let usual = standardHome
        let fallback = taken.contains { Path.contains($0, usual) } ? Bytes("/aegix-home") : usual
        guard let home = (variation.home ?? pinned ?? facts.home).map(Path.normalized), home != [Path.slash] else {
            return fallback
        }
        let system = ["/usr", "/etc", "/proc", "/dev", "/sys", "/bin", "/sbin", "/lib", "/lib64", "/tmp", "/.old"]
        let unusable =
            taken.contains { Path.contains($0, home) } || system.contains { Path.contains(Bytes($0), home) }
            || home.contains(UInt8(ascii: ":")) || home.contains(UInt8(ascii: "\n"))
        return unusable ? fallback : home
    }
}
