// Side effects: runs one command in a sandbox and leaves its record. Start reading here.

import AegixAudit
import AegixPlan
import AegixSandbox
import AegixSystem
import Glibc

/// `aegix [run] …`: the main road.
///
/// Stages: words ─► policy ─► host facts ─► plan (RunPreparation) ─► run directory and ledger (begin) ─► sandbox and
/// supervision (Supervisor) ─► record (finish) ─► one line for a person, or the record as JSON.
/// Not done here: any decision about what the command may do; that is the plan's.
public enum RunCommand: Command {
    public static let name = "run"
    public static let summary = "run a command in a sandbox and record what it does"
    public static let usage = RunOptions.usage.map { "[run] [OPTION…] " + $0 }
    public static let details = """
        The command sees the system read-only, its workspace, and private /tmp, /dev and home; it has no network and no \
        powers. What it changes in the workspace goes to a layer of its own unless the policy says otherwise. Its exit \
        code is aegix's; 124 says that time ran out, 125 that aegix, the policy or the host let nothing run, 126 that \
        the program may not be executed, 127 that there is none, 123 that it ran and its record couldn't be finished.

        The words of run may be left out: `aegix --cmd "make test"` is `aegix run --cmd "make test"`.
        """
    public static let options = RunOptions.table
    public static let unavailable = RunOptions.unavailable
    public static let passesRest = true

    public static func run(_ arguments: Arguments, _ console: Console) throws(Failure) -> Int32 {
        let preparation = try RunPreparation(try RunOptions(arguments))
        let state = try StateDirectory.open(at: preparation.state)
        let recovered = try state.closeInterrupted()
        let start = try preparation.start()
        var directory = try RunDirectory.begin(start, in: state)
        var recorder = RunRecorder(events: directory.events, began: Clock.monotonic())
        let attempt = attempt(preparation, &directory, &recorder, console)
        let record = try directory.finish(attempt.end(recorder, includeText: console.json))
        return try RunReport(
            console: console, options: preparation.options, runPath: state.runPath(start.id), recovered: recovered.closed
        ).tell(attempt, recorder, record)
    }

    /// From here on a record is owed: whatever fails becomes a part of it.
    private static func attempt(
        _ preparation: RunPreparation, _ directory: inout RunDirectory, _ recorder: inout RunRecorder, _ console: Console
    ) -> RunAttempt {
        var attempt = RunAttempt()
        do throws(Failure) {
            let facts = preparation.facts
            let plan = try preparation.plan(layer: try makeLayer(preparation, &directory))
            attempt.plan = plan
            recorder.controls = { Enforcement.controls(plan, facts: facts, held: $0) }
            let stdoutLog = try directory.openLog(.stdout)
            let stderrLog = try directory.openLog(.stderr)
            let io = RunIO(
                captureOnly: console.json, stdoutLog: stdoutLog.raw, stderrLog: stderrLog.raw,
                headLimit: console.json ? 1 << 20 : 0,
                cache: CacheDirectory(path: Path.join(preparation.state, Bytes("cache"))))
            attempt.result = try Supervisor.run(plan, io: io, observer: &recorder)
        } catch {
            attempt.failure = error
        }
        do throws(Failure) {
            attempt.layer = try directory.finishLayer()
        } catch {
            attempt.lateFailure = error
        }
        return attempt
    }

    /// The layer's top looks like the workspace's: the command sees its mode and owner.
    private static func makeLayer(
        _ preparation: RunPreparation, _ directory: inout RunDirectory
    ) throws(Failure) -> LayerPlace? {
        guard preparation.loaded.policy.workspace.mode == .layer else { return nil }
        let top = preparation.facts.workspace
        let owner = preparation.facts.uid == 0 && top.uid != 0 ? (uid: top.uid, gid: top.gid) : nil
        let made = try directory.makeLayer(mode: mode_t(top.mode & 0o1777), owner: owner)
        return LayerPlace(directory: Path.parent(made.upper))
    }
}
