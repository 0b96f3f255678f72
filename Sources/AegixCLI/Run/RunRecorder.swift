// Side effects: writes the record's files: the start while the sandbox assembles itself, events as they happen, the end.

import AegixAudit
import AegixNetwork
import AegixPlan
import AegixPolicy
import AegixSandbox
import AegixSystem
import AegixWorkspace
import Glibc

/// Listens to a run. Bounded: a command can make events as fast as the machine goes.
final class RunRecorder: RunObserver {
    private let preparation: RunPreparation
    private let state: StateDirectory
    private let id: RunID
    let began = Clock.monotonic()
    /// By the clock that stamps files: what changed in the workspace later, changed while the run went on.
    private let beganAt = Clock.realtime()
    private var reserved: ReservedRun?
    private var directory: RunDirectory?
    /// Held until aegix ends.
    private var named: NamedSandbox?
    private let out: ArtifactOut?
    private var layer: LayerPlace?
    /// Of a workspace that is written in place.
    private var snapshot: WorkspaceSnapshot?
    private var stdoutLog = Descriptor.none
    private var stderrLog = Descriptor.none
    private var stdinLog = Descriptor.none
    private(set) var plan: Plan?
    /// What is seen of files; nil: nothing is to be told of them.
    let sightings: Sightings?
    /// `Clock.tick`: what has an older stamp is what the run found.
    private var inputsBegan: UInt64?
    /// The named sandbox held changes of earlier runs.
    private var isContinued = false
    private(set) var execs: [ExecEvent] = []
    private(set) var execsLeftOut: UInt64 = 0
    private(set) var violations: [Violation] = []
    private var hasAllViolations = true
    private var execBytes = 0

    private static let mostExecs = 10_000
    private static let mostExecBytes = 8 << 20
    private static let mostViolations = 1_000

    init(_ preparation: RunPreparation, in state: StateDirectory, out: ArtifactOut? = nil) throws(Failure) {
        self.preparation = preparation
        self.out = out
        self.state = state
        sightings = RunInputs.sightings(preparation)
        do throws(SystemError) {
            id = try RunID.make()
        } catch {
            throw Failure("record.id", "can't make a run id", error)
        }
        reserved = try ReservedRun(id, in: state)
    }

    var runID: String { id.description }
    var path: Bytes { state.runPath(id) }

    /// What the run is connected to.
    ///
    /// - captureOnly: nothing of its output is passed on.
    func io(captureOnly: Bool, headLimit: Int = 0) -> RunIO {
        var io = RunIO(
            captureOnly: captureOnly, headLimit: headLimit,
            cache: CacheDirectory(path: Path.join(preparation.state, Bytes("cache"))), run: runID)
        io.redactor = preparation.redactor
        io.sightings = sightings
        return io
    }

    // MARK: - Before

    /// The plan, with the layer in its place.
    func makePlan() throws(Failure) -> Plan {
        layer = try makeLayer()
        let made = try preparation.plan(layer: layer, run: path)
        plan = made
        startOfInputs(made, isCopied: true)
        if made.workspaceMode == .direct { snapshot = try takeSnapshot() }
        return made
    }

    /// Another one, on a copy of the workspace, where what stopped the first is that no overlay could be mounted and the policy
    /// takes a copy then; nil: that isn't it.
    func makePlan(after stopped: RunResult?) throws(Failure) -> Plan? {
        guard let failure = stopped?.failure, let first = plan, first.takesCopy(instead: failure), named == nil else {
            return nil
        }
        let made = try preparation.plan(layer: layer, run: path, noOverlay: failure)
        plan = made
        startOfInputs(made, isCopied: true)
        return made
    }

    /// What a copy is made of is of another time than what is seen through an overlay.
    private func startOfInputs(_ plan: Plan, isCopied: Bool) {
        let asksInputs = RunInputs.asks(preparation.loaded.policy.audit)
        if asksInputs, ((plan.copy ?? plan.confined?.copy) != nil) == isCopied { inputsBegan = Clock.tick() }
    }

    private func takeSnapshot() throws(Failure) -> WorkspaceSnapshot {
        do throws(SystemError) {
            return try WorkspaceSnapshot(of: preparation.facts.workspace.path)
        } catch {
            throw Failure("workspace.unreadable", "can't look at the workspace that is to be written in place", error)
        }
    }

    /// The layer's top looks like the workspace's: the command sees its mode and owner.
    private func makeLayer() throws(Failure) -> LayerPlace? {
        guard preparation.loaded.policy.workspace.mode.hasLayer else { return nil }
        let top = preparation.facts.workspace
        let owner = preparation.facts.uid == 0 && top.uid != 0 ? (uid: top.uid, gid: top.gid) : nil
        let mode = mode_t(top.mode & 0o1777)
        if let name = preparation.sandbox { return try namedLayer(name, mode: mode, owner: owner) }
        guard let made = try reserved?.makeLayer(mode: mode, owner: owner) else { return nil }
        return LayerPlace(directory: Path.parent(made.upper))
    }

    /// The layer of a sandbox that lives on, once no other run is in it.
    private func namedLayer(
        _ name: String, mode: mode_t, owner: (uid: uid_t, gid: gid_t)?
    ) throws(Failure) -> LayerPlace {
        let policy = preparation.loaded.policy
        let isConfined = Plan.isConfined(policy: policy, facts: preparation.facts)
        if policy.workspace.backing == .copy || isConfined {
            throw Failure(
                "sandbox.mode",
                "the sandbox \(name) needs an overlay, and \(isConfined ? "tier confined" : "backing = \"copy\"") works on "
                    + "a copy of the workspace that goes with its run. Leave the name out")
        }
        let top = preparation.facts.workspace
        let sandbox = try NamedSandbox.open(
            name,
            for: .init(
                workspace: top.path, device: top.device, inode: top.inode,
                style: preparation.facts.uid == 0 ? .trusted : .user, created: beganAt),
            in: state, wait: preparation.options.wait)
        try sandbox.admit(
            hasSecrets: !preparation.facts.secrets.isEmpty, hasNetwork: policy.network.mode != .none,
            allowed: preparation.loaded.namesBoth)
        named = sandbox
        let made = try sandbox.makeLayer(mode: mode, owner: owner)
        isContinued = RunInputs.holdsChanges(made.upper)
        try sandbox.begin(id, denied: preparation.facts.denials)
        var place = LayerPlace(directory: Path.parent(made.upper))
        let keep = policy.workspace.keep
        if keep.contains(.home) { place.home = try sandbox.keep("home", mode: 0o700, owner: owner) }
        if keep.contains(.tmp) { place.tmp = try sandbox.keep("tmp", mode: 0o1777, owner: owner) }
        return place
    }

    // MARK: - During

    func starting() throws(Failure) -> RunLogs {
        if let plan { startOfInputs(plan, isCopied: false) }
        try begin()
        if let controls { directory?.events.enforced(controls) }
        if let error = directory?.events.failure {
            throw Failure("record.events", "can't write the run's events", error)
        }
        // Still empty where this is the second start.
        if stdoutLog.raw < 0, let log = try directory?.openLog(.stdout) { stdoutLog = log }
        if stderrLog.raw < 0, let log = try directory?.openLog(.stderr) { stderrLog = log }
        if preparation.options.recordsStdin, stdinLog.raw < 0, let log = try directory?.openLog(.stdin) {
            stdinLog = log
        }
        return RunLogs(stdout: stdoutLog.raw, stderr: stderrLog.raw, stdin: stdinLog.raw)
    }

    func started() {
        var end = RunEnd(Outcome(.exited, exitCode: 0), finishedAt: beganAt, durationNanoseconds: 0)
        end.enforcement = controls
        (end.stdout, end.stderr, end.usage) = (StreamSummary(), StreamSummary(), Usage())
        end.changes = .none
        directory?.prepare(for: end)
    }

    private func begin() throws(Failure) {
        guard let place = reserved.take() else { return }
        directory = try RunDirectory.begin(
            preparation.start(id: id, plan: plan, named: named), in: state, reserved: place)
    }

    private var controls: RunEnd.Enforcement? {
        plan.map { Enforcement.controls($0, facts: preparation.facts, held: true) }
    }

    func exec(_ event: ExecEvent) {
        directory?.events.exec(event)
        let size = event.argv.reduce(event.program.count) { $0 + $1.count }
        if execs.count >= RunRecorder.mostExecs || execBytes + size > RunRecorder.mostExecBytes {
            execsLeftOut += 1
        } else {
            execs.append(event)
            execBytes += size
        }
    }

    func refused(_ violation: Violation) {
        if let index = violations.firstIndex(where: {
            $0.rule == violation.rule && $0.control == violation.control && $0.path == violation.path
        }) {
            violations[index].count += 1
        } else if violations.count < RunRecorder.mostViolations {
            violations.append(violation)
            directory?.events.violation(violation)
        } else {
            hasAllViolations = false
        }
    }

    func network(_ event: NetworkEvent) { directory?.events.network(event) }

    func limit(_ limit: Outcome.Limit) { directory?.events.limit(limit) }

    // MARK: - After

    /// Closes the record, also of a run that never started. Returns it as it stands in `audit.json`.
    func finish(_ attempt: inout RunAttempt, includeText: Bool) throws(Failure) -> Bytes {
        try begin()
        attempt.sharesNetwork = plan?.network.mode == .host && attempt.result?.program != nil
        if preparation.options.failsOnViolation, let first = violations.first(where: { $0.rule != "socket(AF_UNIX)" }) {
            attempt.result?.outcome.failOn(first)
        }
        do throws(Failure) {
            if let named {
                attempt.layer = try named.finishLayer()
                directory?.take(layer: attempt.layer)
            } else if let state = try directory?.finishLayer() {
                attempt.layer = state
            }
        } catch {
            attempt.lateFailure = error
        }
        let artifacts = RunArtifacts(preparation, plan, layer: keptLayer(attempt), began: beganAt, denied: denied)
        var end = end(attempt, includeText: includeText)
        do throws(Failure) {
            end.changes = try changes(attempt)
        } catch {
            attempt.lateFailure = attempt.lateFailure ?? error
        }
        attempt.changes = end.changes
        if let artifacts { attempt.artifacts = collect(artifacts, attempt) }
        end.artifacts = attempt.artifacts
        noteInputs(&attempt, &end)
        attempt.isInPlace = snapshot != nil
        guard let directory = directory.take() else {
            // It couldn't be begun, so nothing ran and nothing is left.
            throw attempt.failure ?? attempt.result?.failure ?? Failure("record.failed", "run \(id) has no record")
        }
        return try directory.finish(end)
    }

    /// Workspace mode `apply`: what a command that ended well has changed isn't waited with. Conflicts are told like a record
    /// that couldn't be written; the layer stays.
    func apply(_ attempt: inout RunAttempt) {
        guard plan?.workspaceMode == .apply, attempt.layer == .kept, attempt.outcome.status == .exited,
            attempt.outcome.exitCode == 0, attempt.lateFailure == nil, attempt.result?.lateFailure == nil
        else { return }
        do throws(Failure) {
            attempt.applied = try state.apply(id, in: named)
        } catch {
            attempt.lateFailure = error
        }
    }

    private func changes(_ attempt: RunAttempt) throws(Failure) -> RunEnd.Changes {
        let earlier = try named?.previous() ?? ChangeList()
        // What couldn't be finished isn't known to be without changes.
        if plan?.workspaceMode.hasLayer == true, attempt.lateFailure != nil { return .unknown }
        // Half of a copy's changes are none that could be shown or applied.
        if plan?.copy != nil || plan?.confined != nil, attempt.result?.lateFailure != nil { return .unknown }
        var list = ChangeList()
        if let layer = keptLayer(attempt) {
            list = try listed(layer).since(earlier)
            Denials.carry(&list, from: earlier)
        }
        if let snapshot, attempt.result?.program != nil { list = try listed(since: snapshot) }
        if let named {
            if attempt.result?.program != nil { try named.finish(id, list.remembering(earlier)) }
        } else if attempt.layer == .kept {
            try directory?.dropWork()
        }
        return list == ChangeList() ? .none : .listed(list)
    }

    private func keptLayer(_ attempt: RunAttempt) -> Layer? {
        guard attempt.layer == .kept, let style = plan?.layerStyle else { return nil }
        return Layer(upper: Path.join(named?.path ?? path, Bytes("layer/upper")), style: style)
    }

    /// Once the layer is complete, and before anything of it is applied.
    private func collect(_ artifacts: RunArtifacts, _ attempt: RunAttempt) -> ArtifactCollection? {
        guard attempt.result?.program != nil else { return nil }
        do throws(Failure) {
            if let late = attempt.lateFailure ?? attempt.result?.lateFailure { throw late }
            guard let place = try directory?.makeArtifacts() else { return nil }
            var artifacts = artifacts
            if named != nil, case .listed(let list) = attempt.changes { artifacts.hide(list) }
            return artifacts.collect(into: place, out: out, run: id)
        } catch {
            var none = ArtifactCollection(preparation.loaded.policy.artifacts.collect)
            none.error = error.message
            return none
        }
    }

    /// While the workspace is as the run left it: nothing is applied yet.
    private func noteInputs(_ attempt: inout RunAttempt, _ end: inout RunEnd) {
        guard let plan, let began = inputsBegan, attempt.result?.program != nil else { return }
        let inputs = RunInputs(preparation, plan, sightings, began: began, denied: denied, isContinued: isContinued)
        inputs.note(&end) { [self] in try makeInputs() }
        attempt.inputs = end.inputs
    }

    private func makeInputs() throws(Failure) -> Bytes {
        guard let place = try directory?.makeInputs() else {
            throw Failure("inputs.failed", "there is no run directory")
        }
        return place
    }

    private func listed(_ layer: Layer) throws(Failure) -> ChangeList {
        let workspace = preparation.facts.workspace.host
        return try flagged { () throws in
            try Redirects.complete(layer, over: workspace)
            let list = try LayerListing(
                layer, over: workspace, began: Int64(beganAt),
                linksBreak: layer.style == .user && plan?.copy == nil && plan?.confined == nil, bounds: bounds
            ).list()
            return (list, try LayerSurroundings(layer, over: workspace))
        }
    }

    private func listed(since snapshot: WorkspaceSnapshot) throws(Failure) -> ChangeList {
        try flagged { () throws in
            (try SnapshotComparison(with: snapshot, bounds: bounds).list(), SnapshotSurroundings(snapshot))
        }
    }

    private var bounds: ListingBounds {
        var bounds = ListingBounds()
        bounds.secrets = preparation.redactor
        return bounds
    }

    /// To this run, and to those before it in a sandbox that lives on.
    private var denied: [PathPattern] { named?.about.denied ?? preparation.facts.denials }

    private func flagged(_ find: () throws -> (ChangeList, any Surroundings)) throws(Failure) -> ChangeList {
        do {
            var (list, around) = try find()
            try Protection(preparation.loaded.policy.workspace.protect, around: around).flag(&list)
            try Denials(denied, in: preparation.facts.workspace.path).flag(&list, around)
            list.markSecrets(preparation.redactor)
            return list
        } catch let error as SystemError {
            throw Failure(
                "layer.unreadable", "can't list what run \(id) changed: \(error)", errno: error.errno, exitCode: 123)
        } catch {
            throw Failure("layer.unreadable", "can't judge what run \(id) changed: \(error)", exitCode: 123)
        }
    }

    private func end(_ attempt: RunAttempt, includeText: Bool) -> RunEnd {
        var outcome = attempt.outcome
        outcome.message = outcome.message ?? attempt.result?.lateFailure?.message
        var end = RunEnd(
            outcome, finishedAt: Clock.realtime(), durationNanoseconds: Clock.monotonic() - began)
        end.execs = execs
        end.execsLeftOut = execsLeftOut
        end.violations = violations
        end.hasAllViolations = hasAllViolations
        end.includeText = includeText
        guard let result = attempt.result else { return end }
        end.usage = result.usage
        end.network = result.network
        end.networkLeftOut = result.networkLeftOut
        end.program = result.program
        end.programDigest = result.programDigest
        end.stdout = result.stdout
        end.stderr = result.stderr
        end.stdin = result.input
        if let plan {
            var enforcement = Enforcement.controls(plan, facts: preparation.facts, held: result.program != nil)
            enforcement.controls.append(
                Control("stdin", asked: "nothing inherited", mechanism: result.stdin, held: true))
            end.enforcement = enforcement
        }
        return end
    }
}

extension Plan {
    /// nil: the run has no layer.
    var layerStyle: Layer.Style? {
        guard workspaceMode.hasLayer else { return nil }
        return trees.contains { $0.layer != nil } ? .trusted : .user
    }
}
