// Side effects: undoes what was applied; closes the records of killed runs and clears what they left on the machine.

import AegixAudit
import AegixSandbox
import AegixSystem

/// `aegix reset RUN` and `aegix reset --all`.
///
/// The one undoes an apply from its pre-images. The other does what every command does on its way, as the only thing,
/// and tells it. Not done here: nothing of a run that is alive is touched, and no record is removed.
public enum ResetCommand: Command {
    public static let name = "reset"
    public static let summary = "undo an apply, or clear what killed runs left behind"
    public static let usage = ["reset RUN|NAME [--state-dir DIR] [--json]", "reset --all [--state-dir DIR] [--json]"]
    public static let details = """
        With RUN (a run id, a unique prefix of one, or `last`) the workspace gets back what was there before the run was \
        applied: all of it, or nothing. Where something was changed since, the paths are named, nothing is done, and the \
        exit code is 1. The run can be applied again afterwards. Of a run that wasn't applied there is nothing to undo; \
        `aegix discard` drops its layer.

        With the NAME of a sandbox, what its runs changed is dropped, applied or not, with its home and /tmp: its next \
        run begins with the workspace as it is.

        A run whose aegix was killed has left a half-written record, and perhaps a cgroup; an apply that was killed, half \
        a workspace. The next aegix command of any kind clears that; with --all this one does nothing else, and says what it cleared. Doing it \
        again clears nothing more. Runs that are alive, records and layers stay as they are.
        """
    public static let options = [
        Option("all", help: "Clear what the killed runs of all workspaces left. Default: nothing is cleared."),
        Option.recordState,
    ]

    public static func run(_ arguments: Arguments, _ console: Console) throws(Failure) -> Int32 {
        guard arguments.flag("all") else {
            if arguments.operands.isEmpty { throw Failure("usage.missing", "say what to reset: a RUN, or --all") }
            return try undo(arguments, console)
        }
        _ = try arguments.operands()
        let path = try StateLocation.current(option: arguments.value("state-dir"))
        let state = try StateDirectory.openExisting(at: path)
        let recovery = try state?.closeInterrupted()
        _ = try state?.clearAway(until: .max)
        if console.json {
            try console.document([
                "schema": "aegix.reset/v1",
                "closed": .array((recovery?.closed ?? []).map { .string($0.description) }),
                "cgroups": .array((recovery?.cgroups.removed ?? []).map { .string($0) }),
                "workspaces": .array(
                    (recovery?.transactions ?? []).map { one in
                        [
                            "run_id": .string(one.run.description), "verb": .string(one.remainder.verb),
                            "finished": .bool(one.remainder.isDone),
                            "left": .array(one.remainder.left.prefix(1000).map { .bytes($0) }),
                        ]
                    }),
                "failed": .array(
                    (recovery?.failed ?? []).map {
                        ["run_id": .string($0.run.description), "reason": .string($0.error.reason)]
                    }),
            ])
        } else if let recovery {
            try tell(recovery, console)
        } else {
            try console.print("nothing to clear: no run was ever recorded in \(path.shown)")
        }
        let isClear = recovery.map { $0.failed.isEmpty && $0.cgroups.failed.isEmpty } ?? true
        return isClear ? 0 : 123
    }

    private static func undo(_ arguments: Arguments, _ console: Console) throws(Failure) -> Int32 {
        if try drop(arguments, console) { return 0 }
        let (state, id) = try RecordState.run(arguments, console)
        let report = try state.reset(id)
        if console.json {
            try console.document(report.json("aegix.reset/v1"))
        } else {
            try report.tell(console)
        }
        return report.status == .conflict ? 1 : 0
    }

    /// A sandbox by its name. False: the word isn't one.
    private static func drop(_ arguments: Arguments, _ console: Console) throws(Failure) -> Bool {
        guard let name = try arguments.operands("RUN")[0].text, NamedSandbox.isName(name) else { return false }
        let path = try StateLocation.current(option: arguments.value("state-dir"))
        guard let state = try RecordState.open(at: path, console), try state.dropSandbox(name) else { return false }
        // Most are gone at once; the caller doesn't wait for the others.
        if try !state.clearAway(until: Clock.monotonic() + ResetCommand.patience) { state.clearAwayAside() }
        if console.json {
            try console.document(["schema": "aegix.reset/v1", "sandbox": .string(name)])
        } else {
            try console.print("the sandbox \(name) is gone: its next run begins with the workspace as it is")
        }
        return true
    }

    private static let patience: UInt64 = 20_000_000

    private static func tell(_ recovery: Recovery, _ console: Console) throws(Failure) {
        for id in recovery.closed { try console.print("closed the record of run \(id), which was killed") }
        for name in recovery.cgroups.removed { try console.print("removed the cgroup \(Bytes(name).shown)") }
        for one in recovery.transactions { try console.print(RecordState.line(one.run, one.remainder)) }
        RecordState.tellFailed(recovery, console)
        for failed in recovery.cgroups.failed {
            console.note("can't remove the cgroup \(Bytes(failed.name).shown): \(failed.error.reason)")
        }
        if recovery.closed.isEmpty && recovery.cgroups.removed.isEmpty && recovery.transactions.isEmpty {
            try console.print("nothing to clear")
        }
    }
}
