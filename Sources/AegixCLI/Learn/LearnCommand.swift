// Side effects: runs one command in a sandbox that watches more closely, drops what it changed, and writes a policy.

import AegixAudit
import AegixPlan
import AegixPolicy
import AegixSandbox
import AegixSystem
import Glibc

/// `aegix learn`: the main road of run, with an eye on files, and its changes thrown away.
///
/// Stages: words ─► the policy to stay within ─► plan ─► sandbox, recorded as any run ─► Observations ─► LearnedPolicy (pure) ─► text,
/// proven to read as what was meant ─► file or stdout. Not done here: nothing is applied, and no policy is put in force.
public enum LearnCommand: Command {
    public static let name = "learn"
    public static let summary = "run a command once and propose the tightest policy that it needs"
    public static let usage = RunOptions.usage.map { "learn [OPTION…] " + $0 }
    public static let details = """
        The command runs as under `aegix run`, with as much of the host and the network as --within allows. What it changes in the \
        workspace is dropped afterwards. Proposed are the files outside of the workspace that it used, the hosts that it \
        connected to, the programs that it executed, and limits with room to spare, each with what asked for it. Names that another \
        run would spell differently, such as versions, digests and temporary names, become patterns.

        It is a proposal, made of what the command chose to do: read it before you rely on it. It never allows more than \
        --within, and leaves out secrets and places of keys, which it names in a comment. What wasn't in view or was refused is \
        named, too.

        The exit code is the command's, as for run; 123 says that it ran and the policy couldn't be written. A command that fails \
        teaches all the same.
        """
    public static let options = LearnOptions.table
    public static let unavailable = RunOptions.unavailable
    public static let passesRest = true

    public static func run(_ arguments: Arguments, _ console: Console) throws(Failure) -> Int32 {
        var options = try LearnOptions(arguments)
        options.run.policy = options.within ?? standard
        let state = try StateDirectory.open(at: try StateLocation.current(option: options.run.stateDirectory))
        let preparation = try RunPreparation(options.run, state: state.path, runs: true, learns: true)
        console.redactor = preparation.redactor
        let cwd = try RunPreparation.currentDirectory()
        let output = try options.output.map { path throws(Failure) in
            try PolicyOutput(path, cwd: cwd, replaces: options.replaces)
        }
        let recovered = try state.closeInterrupted(
            sweep: preparation.facts.cgroup.map(CgroupSweep.clear) ?? CgroupSweep())
        RecordState.tellCgroups(recovered, console)
        for one in recovered.transactions { console.note(RecordState.line(one.run, one.remainder)) }
        let teller = try console.json || output != nil ? console : partStdout(console)
        let recorder = try RunRecorder(preparation, in: state)
        var attempt = RunAttempt()
        let sightings = recorder.sightings ?? Sightings()
        var io = recorder.io(captureOnly: console.json)
        io.sightings = sightings
        attempt.run(recorder, io, check: checkTier)
        _ = try recorder.finish(&attempt, includeText: false)
        if let error = attempt.result?.cgroupError {
            console.note("can't remove the run's cgroup: \(error.reason); a later command will try again")
        }
        do throws(Failure) {
            if let id = RunID(recorder.runID) { _ = try state.discard(id) }
        } catch {
            attempt.lateFailure = attempt.lateFailure ?? error
        }
        guard let result = attempt.result, result.program != nil, result.failure == nil, let plan = recorder.plan else {
            throw attempt.failure ?? attempt.result?.failure
                ?? Failure(
                    "learn.nothing", attempt.outcome.message ?? "the command didn't run, so there is nothing to learn",
                    exitCode: attempt.outcome.exitCode)
        }
        let lesson = try Lesson(preparation, plan, recorder, result, sightings, attempt.changes)
        if let output { try output.write(lesson.text) }
        return try LearnReport(console: teller, options: options, output: output).tell(
            lesson, attempt, workspace: preparation.facts.workspace.path)
    }

    /// Watching needs the mounts of the stronger tiers: in a copy at another path nothing would be where a policy names it.
    private static func checkTier(_ plan: Plan) throws(Failure) {
        if plan.tier == .confined {
            throw Failure(
                "learn.tier",
                "tier confined shows too little to learn from: this host allows no namespaces. `aegix doctor`")
        }
    }

    /// The caller's own word, else the preset that was made for this; nil: his configuration.
    private static var standard: Bytes? {
        guard let configuration = TrustStore.configuration(home: PolicyStack.home) else { return Bytes("learn") }
        var facts = stat()
        let path = Path.join(configuration, Bytes("policy.toml"))
        return path.contains(0) || path.withCString { lstat($0, &facts) } != 0 ? Bytes("learn") : nil
    }

    /// stdout is for the policy: from here on the command's own goes to stderr.
    private static func partStdout(_ console: Console) throws(Failure) -> Console {
        let kept = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)
        if kept < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0 {
            throw Failure("learn.output", "can't keep stdout for the policy", SystemError.last("dup2"))
        }
        let parted = Console(json: false, output: kept)
        parted.redactor = console.redactor
        return parted
    }
}
