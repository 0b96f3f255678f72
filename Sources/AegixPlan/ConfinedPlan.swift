// Pure. Tier confined: no mounts, so what is in view is what Landlock grants, and the workspace's layer is a copy.

import AegixPolicy
import AegixSystem
import AegixWorkspace

/// What has to be made on the host before a confined run, and taken away after it.
public struct ConfinedPlan: Equatable, Sendable {
    /// Why it isn't a better tier.
    public var reason: String
    /// A directory of the run's own: `tmp`, `home`, and the copy beneath `workspace`.
    public var place: Bytes
    /// Whose all of it is, and whom the command is, when root calls.
    public var owner: Owner?
    public var copy: WorkspaceCopy?
    /// A script that lies out of view, put where the command may read it.
    public var script: Invocation.Script?
    /// procfs makes an entry anew when the old one is forgotten, and Landlock's rule would be forgotten with it: these are
    /// held open for as long as the run takes.
    public var pinned: [Bytes]
    /// What is read was to be told, and isn't seen here.
    public var lacksReads = false

    public struct Owner: Equatable, Sendable {
        public var uid: UInt32
        public var gid: UInt32
    }

    public var tmp: Bytes { Path.join(place, Bytes("tmp")) }
    public var home: Bytes { Path.join(place, Bytes("home")) }

    /// In the run directory; when root calls, where the command's user can get to.
    public static func place(run: Bytes, uid: UInt32) -> Bytes {
        uid == 0 ? Bytes("/var/tmp/aegix-") + Path.name(run) : Path.join(run, Bytes("confined"))
    }
}

extension Plan {
    /// The stages: what can't be done here, what is copied, what is granted, what runs.
    static func confined(
        policy: Policy, facts: HostFacts, invocation: Invocation, layer: LayerPlace?, run: Bytes, reason: String,
        variation: Variation = Variation()
    ) throws(Failure) -> Plan {
        try Plan.check(policy: policy, facts: facts)
        try SecretPlan.check(policy: policy, facts: facts, isConfined: true)
        try TierPlan.checkConfined(policy: policy, facts: facts)
        try TierPlan.checkSight(facts: facts, isConfined: true)
        try NetworkPlan.checkConfined(policy.network)
        let workspace = facts.workspace
        let place = ConfinedPlan.place(run: run, uid: facts.uid)
        var confined = ConfinedPlan(
            reason: reason, place: place,
            owner: facts.uid == 0 ? .init(uid: workspace.uid, gid: workspace.gid) : nil,
            pinned: facts.shared.filter { Path.contains(Bytes("/proc"), $0) })
        confined.lacksReads = policy.audit.detail == .files || policy.audit.inputs == .read
        let system = facts.base.map(\.path) + BaseView.rootPaths
        let hidden = Plan.hidden(
            facts: facts, views: [workspace.path] + (facts.reads + facts.writes).map(\.path) + system)
        if policy.workspace.mode.hasLayer {
            guard let layer else { throw Failure("plan.layer", "a layer needs a run directory to keep it in") }
            confined.copy = WorkspaceCopy(
                source: workspace.host, device: workspace.device, inode: workspace.inode,
                destination: Path.join(Path.join(place, Bytes("workspace")), Path.name(workspace.path)),
                upper: Path.join(layer.directory, Bytes("upper")),
                leftOut: hidden.map(\.path).filter { Path.contains(workspace.path, $0) }.map(workspace.onHost))
        }
        try Plan.checkHidden(hidden, copy: confined.copy, facts: facts)
        // The workspace's own paths, as the command has them.
        let mapped = { (path: Bytes) -> Bytes in
            guard let copy = confined.copy, Path.contains(workspace.path, path) else { return path }
            return copy.destination + path.dropFirst(workspace.path.count)
        }
        let roots = [mapped(workspace.path)] + (facts.reads + facts.writes).map(\.path) + system
        var asked = invocation
        if case .script(var script, let arguments) = invocation.form {
            script.path = mapped(script.path)
            if !roots.contains(where: { Path.contains($0, script.path) }) {
                script.path = Path.join(Path.join(place, Bytes("script")), Path.name(script.path))
                confined.script = script
            }
            asked = Invocation(.script(script, arguments: arguments))
        }
        let identity = IdentityPlan.confined(facts: facts)
        let cwd = mapped(Path.contains(workspace.path, facts.cwd) ? facts.cwd : workspace.path)
        let environment = Plan.confinedEnvironment(
            policy: policy, facts: facts, confined: confined, user: identity.userName,
            path: EnvironmentPlan.path(facts: facts, views: roots + [workspace.path]).map(mapped),
            variation: variation)
        var limits = LimitPlan.make(policy.limits, tier: .confined, processors: facts.processors)
        var determinism = DeterminismPlan.make(
            policy.determinism, variation, limits: &limits, processors: facts.processors)
        determinism.tell(
            policy, variation, identity: identity, environment: environment, home: confined.home,
            processors: limits.processors ?? facts.processors, isConfined: true)
        var syscalls = limits.syscalls
        syscalls.isConfined = true
        syscalls.judgesExecs = policy.commands.judges
        determinism.apply(to: &syscalls)
        return Plan(
            tier: .confined, identity: identity, steps: [], trees: [],
            landlock: LandlockPlan.confined(facts: facts, confined: confined, mode: policy.workspace.mode),
            syscalls: syscalls, network: try NetworkPlan.make(policy.network), capabilities: [], limits: policy.limits,
            limitPlan: limits,
            processors: facts.processors, environment: environment,
            commands: policy.commands.anchored(home: confined.home, workspace: mapped(workspace.path)),
            approval: policy.approval,
            command: try CommandPlan.make(asked, path: EnvironmentPlan.searched(environment), cwd: cwd),
            cwd: cwd, home: confined.home, workspace: workspace.path, workspaceMode: policy.workspace.mode,
            layer: place, views: roots,
            hidden: hidden.filter { confined.copy?.leftOut.contains($0.path) == true }
                .map { Hidden(path: $0.path, reason: $0.reason) },
            determinism: determinism, confined: confined)
    }

    private static func confinedEnvironment(
        policy: Policy, facts: HostFacts, confined: ConfinedPlan, user: Bytes, path: [Bytes],
        variation: Variation
    ) -> [PlannedVariable] {
        var environment = EnvironmentPlan.make(
            policy: policy.env, facts: facts, home: confined.home, user: user, path: path,
            pinned: DeterminismPlan.variables(policy.determinism), variation: variation)
        let name = Bytes("TMPDIR")
        for index in environment.indices where environment[index].name == name && environment[index].source == .base {
            environment[index].value = confined.tmp
        }
        // There, and closed: git takes that for a fault, where in the other tiers it isn't there.
        let file = Bytes("/etc/gitconfig")
        let system = Bytes("GIT_CONFIG_NOSYSTEM")
        if !facts.reads.contains(where: { Path.contains($0.path, file) }),
            !environment.contains(where: { $0.name == system })
        {
            environment.append(.init(name: system, value: Bytes("1"), source: .base))
        }
        return environment
    }

    /// Landlock grants and can't take out again: what lies in a granted place and not in the copy is in view.
    private static func checkHidden(
        _ hidden: [HiddenPath], copy: WorkspaceCopy?, facts: HostFacts
    ) throws(Failure) {
        for item in hidden where copy?.leftOut.contains(item.path) != true {
            // Any user may read the program itself; it holds nothing.
            let isSystem = BaseView.rootPaths.contains { Path.contains($0, item.path) }
            if isSystem, facts.guarded.contains(where: { $0.path == item.path && $0.kind == .file }) { continue }
            throw Failure(
                "tier.hidden",
                "tier confined can't hide \(item.path.shown) (\(item.reason)): without mounts nothing can be taken out of "
                    + "a directory that is in view. Take the directory around it out of view, use workspace mode \"layer\", "
                    + "whose copy leaves it out, or allow namespaces")
        }
    }
}

extension IdentityPlan {
    /// The caller, or the workspace's owner when root calls.
    static func confined(facts: HostFacts) -> IdentityPlan {
        let (uid, gid) = facts.uid == 0 ? (facts.workspace.uid, facts.workspace.gid) : (facts.uid, facts.gid)
        return IdentityPlan(
            insideUID: uid, insideGID: gid, outsideUID: uid, outsideGID: gid, userName: facts.userName ?? Bytes("user"),
            uidMap: "", gidMap: "", selfMapped: true)
    }
}

extension LandlockPlan {
    /// The host's own tree: only what is named, and all of it by a rule of its own.
    static func confined(facts: HostFacts, confined: ConfinedPlan, mode: Policy.Workspace.Mode) -> LandlockPlan {
        let all = Access.handled(abi: facts.landlockABI)
        let look = (Access.execute | Access.readFile | Access.readDirectory) & all
        let overwrite = (Access.readFile | Access.writeFile | Access.truncate | Access.deviceControl) & all
        let full = all & ~(Access.makeCharacterDevice | Access.makeBlockDevice)
        var rules: [Rule] = []
        for entry in facts.base {
            switch entry.kind {
            case .symlink: continue  // into /usr, which has a rule
            case .directory(_, _, let source), .file(_, _, let source): rules.append(Rule(path: source, access: look))
            }
        }
        rules += facts.shared.map { Rule(path: $0, access: look & ~Access.execute) }
        rules += BaseView.devices.map { Rule(path: Bytes("/dev/" + $0), access: overwrite) }
        rules += facts.reads.map { Rule(path: $0.path, access: look) }
        rules += facts.writes.map { Rule(path: $0.path, access: full) }
        switch mode {
        case .layer, .apply: if let copy = confined.copy { rules.append(Rule(path: copy.destination, access: full)) }
        case .readOnly: rules.append(Rule(path: facts.workspace.host, access: look))
        case .direct: rules.append(Rule(path: facts.workspace.path, access: full))
        }
        rules += [confined.tmp, confined.home].map { Rule(path: $0, access: full) }
        if let script = confined.script { rules.append(Rule(path: script.path, access: look)) }
        return LandlockPlan(abi: facts.landlockABI, handled: all, scoped: 3, handledNetwork: 3, rules: rules)
    }

    /// What the command may write to, as the supervisor asks before it changes a mode or a time for it.
    public var writable: [Bytes] { rules.filter { $0.access & Access.refer != 0 }.map(\.path) }
}

/// What only tier confined shows as it is.
public enum SharedView {
    /// Names of users and services: without a mount there can be no other such file.
    public static let etc = ["passwd", "group", "nsswitch.conf", "services", "protocols"].map { Bytes("/etc/" + $0) }
    /// The machine's figures. No process's: Landlock can't tell the run's own from the host's.
    public static let proc = ["cpuinfo", "meminfo", "stat", "version", "filesystems", "loadavg", "uptime", "sys"].map {
        Bytes("/proc/" + $0)
    }
    public static var all: [Bytes] { etc + proc }
}
