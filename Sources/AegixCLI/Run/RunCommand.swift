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
        The command sees the system read-only, its workspace, and private /tmp, /dev and home; it has no powers, and no \
        network but what the policy or --allow-host names. What it changes in the workspace goes to a layer of its own unless the policy says otherwise. Its exit \
        code is aegix's; 124 says that time ran out, 125 that aegix, the policy or the host let nothing run, 126 that \
        the program may not be executed, 127 that there is none, 123 that it ran and its record couldn't be finished, its \
        artifacts couldn't be collected or, in workspace mode `apply`, its changes couldn't be applied.

        The words of run may be left out: `aegix --cmd "make test"` is `aegix run --cmd "make test"`.
        """
    public static let options = RunOptions.table
    public static let unavailable = RunOptions.unavailable
    public static let passesRest = true

    public static func run(_ arguments: Arguments, _ console: Console) throws(Failure) -> Int32 {
        let options = try RunOptions(arguments)
        // First, because a state directory that lies in view has to be there to be hidden.
        let state = try StateDirectory.open(at: try StateLocation.current(option: options.stateDirectory))
        let preparation = try RunPreparation(options, state: state.path, runs: true)
        console.redactor = preparation.redactor
        let copy = try options.record.map { path throws(Failure) in
            try RecordCopy(path, cwd: try RunPreparation.currentDirectory())
        }
        let out = try preparation.openOut()
        let recovered = try state.closeInterrupted(
            sweep: preparation.facts.cgroup.map(CgroupSweep.clear) ?? CgroupSweep())
        RecordState.tellCgroups(recovered, console)
        for one in recovered.transactions { console.note(RecordState.line(one.run, one.remainder)) }
        let recorder = try RunRecorder(preparation, in: state, out: out)
        // From here on a record is owed: whatever fails becomes a part of it.
        var attempt = RunAttempt()
        var io = recorder.io(captureOnly: console.json, headLimit: console.json ? 1 << 20 : 0)
        io.rawOutput = options.rawOutput
        attempt.run(recorder, io)
        if let error = attempt.result?.cgroupError {
            console.note("can't remove the run's cgroup: \(error.reason); a later command will try again")
        }
        let record = try recorder.finish(&attempt, includeText: console.json)
        recorder.apply(&attempt)
        return try RunReport(
            console: console, options: options, runPath: recorder.path, copy: copy, recovered: recovered.closed,
            policy: preparation.loaded, execs: recorder.execs
        ).tell(attempt, recorder.violations, record)
    }
}
