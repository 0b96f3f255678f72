// Side effects: closes the records of killed runs and clears what they left on the machine.

import AegixAudit
import AegixSandbox
import AegixSystem

/// `aegix reset --all`.
///
/// What every command does on its way, as the only thing done, and told. Not done here: nothing of a run that is alive
/// is touched, and no record is removed.
public enum ResetCommand: Command {
    public static let name = "reset"
    public static let summary = "clear what killed runs left behind"
    public static let usage = ["reset --all [--json]"]
    public static let details = """
        A run whose aegix was killed has left a half-written record, and perhaps a cgroup. The next aegix command of any \
        kind closes the one and removes the other; this command does nothing else, and says what it cleared. Doing it \
        again clears nothing more. Runs that are alive, records and layers stay as they are.
        """
    public static let options = [
        Option("all", help: "Clear what the killed runs of all workspaces left. Default: nothing is cleared."),
        Option.recordState,
    ]

    public static func run(_ arguments: Arguments, _ console: Console) throws(Failure) -> Int32 {
        _ = try arguments.operands()
        guard arguments.flag("all") else {
            throw Failure("usage.missing", "say what to reset: --all; a single run can't be reset in this version")
        }
        let path = try StateLocation.current(option: arguments.value("state-dir"))
        let recovery = try StateDirectory.openExisting(at: path)?.closeInterrupted()
        if console.json {
            try console.document([
                "schema": "aegix.reset/v1",
                "closed": .array((recovery?.closed ?? []).map { .string($0.description) }),
                "cgroups": .array((recovery?.cgroups.removed ?? []).map { .string($0) }),
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

    private static func tell(_ recovery: Recovery, _ console: Console) throws(Failure) {
        for id in recovery.closed { try console.print("closed the record of run \(id), which was killed") }
        for name in recovery.cgroups.removed { try console.print("removed the cgroup \(Bytes(name).shown)") }
        for failed in recovery.failed {
            console.note("can't close the record of the killed run \(failed.run): \(failed.error.reason)")
        }
        for failed in recovery.cgroups.failed {
            console.note("can't remove the cgroup \(Bytes(failed.name).shown): \(failed.error.reason)")
        }
        if recovery.closed.isEmpty && recovery.cgroups.removed.isEmpty { try console.print("nothing to clear") }
    }
}
