// Side effects: reads the host, the policy files and a script; makes nothing.

import AegixAudit
import AegixPlan
import AegixPolicy
import AegixSandbox
import AegixSystem
import Glibc

/// Everything that is known before a run begins: what `run` and `plan` have in common.
struct RunPreparation {
    let options: RunOptions
    /// The state directory, absolute.
    let state: Bytes
    let loaded: LoadedPolicy
    let facts: HostFacts
    let invocation: Invocation
    /// Takes the run's secrets out of whatever is shown or written down; nil: it has none.
    let redactor: Redactor?
    /// nil: the run has a sandbox of its own.
    let sandbox: String?
    /// A policy is to be learned from it.
    let learns: Bool
    /// nil: nothing is signed.
    let signer: RunSigner?
    /// The run that is run again; nil: none is.
    let replays: RunID?
    /// What is other than recorded on purpose.
    let variation: Variation

    /// - runs: whether a run follows, which may ask the user's systemd for a cgroup.
    init(_ options: RunOptions, state: Bytes, runs: Bool, learns: Bool = false) throws(Failure) {
        self.learns = learns
        replays = nil
        variation = Variation()
        self.options = options
        let cwd = try RunPreparation.currentDirectory()
        self.state = state
        let workspace = try RunPreparation.canonical(options.workspace ?? cwd, cwd: cwd)
        let home = PolicyStack.home
        var loaded = try PolicyStack.load(
            policyArgument: options.policy, workspace: workspace, home: home, overrides: options.overrides(cwd: cwd))
        if learns { loaded.policy.keepToLayer() }
        self.loaded = loaded
        signer = try RunPreparation.signer(loaded.policy.audit.sign, home: home)
        facts = try HostSurvey.facts(
            .init(
                workspace: workspace, cwd: cwd, policy: loaded.policy,
                guarded: RunPreparation.guarded(state: state, home: home, signer: signer),
                needsSealed: runs && loaded.policy.require == .sealed))
        redactor = Redactor(facts.secrets)
        sandbox = learns ? nil : try SandboxName.choose(options, loaded.policy, workspace: facts.workspace.path)
        invocation = Invocation(try RunPreparation.form(options.command, cwd: cwd))
    }

    /// A run that runs another one again: nothing of it is signed, and it has a sandbox of its own.
    init(
        replaying run: RunID, _ options: RunOptions, state: Bytes, loaded: LoadedPolicy, facts: HostFacts,
        _ invocation: Invocation, _ variation: Variation
    ) {
        self.options = options
        self.state = state
        self.loaded = loaded
        self.facts = facts
        self.invocation = invocation
        redactor = Redactor(facts.secrets)
        sandbox = nil
        learns = false
        signer = nil
        replays = run
        self.variation = variation
    }

    /// - run: the run's own directory.
    /// - noOverlay: why there can't be one, once that was tried.
    func plan(layer: LayerPlace?, run: Bytes, noOverlay: Failure? = nil) throws(Failure) -> Plan {
        var policy = loaded.policy
        var facts = facts
        if let noOverlay {
            policy.workspace.backing = .copy
            facts.mapsOwners = noOverlay.code != Plan.noOwnerMap
        }
        var plan = try Plan.make(
            policy: policy, facts: facts, invocation: invocation, layer: layer, run: run,
            variation: variation)
        if plan.network.asks { plan.network.asksOrigin = loaded.origin(of: .networkUnknown) }
        plan.syscalls.watchesPaths = learns
        plan.copy?.reason = noOverlay.map { failure in
            facts.mapsOwners ? "no overlay (\(failure.errno.map(Errno.words) ?? "none"))" : "no id-mapped mounts here"
        }
        return plan
    }

    /// What no command may see or change: aegix's own.
    static func guarded(state: Bytes, home: Bytes?, signer: RunSigner?) -> [(path: Bytes, what: String)] {
        var paths = [(path: state, what: "the state directory"), (Bytes("/etc/aegix"), "the machine's policy")]
        // The usual places too, whatever the environment says now: the next command may be started without it.
        if let home, Path.isAbsolute(home) {
            paths.append((Path.join(home, Bytes(".config/aegix")), "the configuration directory"))
            paths.append((Path.join(home, Bytes(".local/state/aegix")), "the state directory"))
        }
        if let configuration = TrustStore.configuration(home: home) {
            paths.append((configuration, "the configuration directory"))
        }
        if let signer { paths.append((signer.path, "the signing key")) }
        if let binary = HostSurvey.ownBinary { paths.append((binary, "the aegix binary")) }
        return paths
    }

    /// A key that can't sign is told before anything runs.
    private static func signer(_ sign: String, home: Bytes?) throws(Failure) -> RunSigner? {
        if sign.isEmpty { return nil }
        var path = Bytes(sign)
        if path.starts(with: Bytes("~/")), let home { path = Path.join(home, Bytes(path.dropFirst(2))) }
        guard Path.isAbsolute(path) else {
            throw Failure(
                "key.path", "audit.sign is \(path.shown), and must be an absolute path, or one that begins with ~/")
        }
        return try RunSigner(Path.normalized(path))
    }

    private static func form(_ request: RunOptions.Request, cwd: Bytes) throws(Failure) -> Invocation.Form {
        switch request {
        case .shell(let line): return .shell(line)
        case .python(let code, let arguments): return .python(code, arguments: arguments)
        case .program(let argv): return .program(argv)
        case .script(let file, let arguments):
            return .script(try HostSurvey.script(Path.join(cwd, file)), arguments: arguments)
        }
    }

    /// As getcwd gives it, so canonical; a deleted one is said so.
    static func currentDirectory() throws(Failure) -> Bytes {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        guard getcwd(&buffer, buffer.count) != nil else {
            let error = SystemError.last("getcwd")
            if error.errno == ENOENT {
                throw Failure(
                    "workspace.missing", "the current directory was deleted: change to another one", errno: ENOENT)
            }
            throw Failure("workspace.missing", "can't tell the current directory", error)
        }
        return buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
    }

    private static func canonical(_ path: Bytes, cwd: Bytes) throws(Failure) -> Bytes {
        try HostSurvey.directory(Path.join(cwd, path))
    }
}

extension Policy {
    /// A run that is only looked at changes nothing for good, lives in no sandbox of another, and shares no network that it can't be
    /// watched in.
    fileprivate mutating func keepToLayer() {
        if workspace.mode != .readOnly { workspace.mode = .layer }
        workspace.sandbox = .run
        workspace.keep = []
        if network.mode == .host { network.mode = .guarded }
    }
}
