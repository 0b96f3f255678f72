// Side effects: removes a run's layer, writes to the console.

import AegixAudit
import AegixSystem

/// `aegix discard RUN`. Not done here: the record stays, and so does what an apply has put into the workspace.
public enum DiscardCommand: Command {
    public static let name = "discard"
    public static let summary = "drop the changes of a run"
    public static let usage = ["discard RUN [--state-dir DIR] [--json]"]
    public static let details = """
        RUN is a run id, a unique prefix of one, or `last`. Its layer is removed, so its changes can't be applied any \
        more. The record stays. What was applied already stays in the workspace, and `aegix reset RUN` can still undo it.
        """
    public static let options = [Option.recordState]

    public static func run(_ arguments: Arguments, _ console: Console) throws(Failure) -> Int32 {
        let (state, id) = try RecordState.run(arguments, console)
        let isDropped = try state.discard(id)
        if console.json {
            try console.document([
                "schema": "aegix.discard/v1", "run_id": .string(id.description), "discarded": .bool(isDropped),
            ])
        } else {
            try console.print(isDropped ? "dropped the layer of run \(id)" : "run \(id) has no layer to drop")
        }
        return 0
    }
}
