// Side effects: reads the state directory, closes the records of killed runs, writes to the console.

import AegixAudit
import AegixSystem

/// `aegix why RUN`. Not done here: what is explained comes from the record alone; nothing is looked up again.
public enum WhyCommand: Command {
    public static let name = "why"
    public static let summary = "say what stopped a run, and what would allow it"
    public static let usage = ["why RUN [--state-dir DIR] [--json]"]
    public static let details = """
        RUN is a run id, a unique prefix of one, or `last`. Told are the limit or rule that ended the run, and everything that \
        was refused inside, each with the place in the policy that it comes from and the smallest option or edit that would \
        allow it; or why nothing would. With --json each is an object, so that a program can act on it.

        Whether to allow it is for you to decide: what a sandboxed program was refused may be just what it shouldn't do.
        """
    public static let options = [Option.recordState]
    private static let most = 100

    public static func run(_ arguments: Arguments, _ console: Console) throws(Failure) -> Int32 {
        let (state, id) = try RecordState.run(arguments, console)
        let bytes = try state.record(of: id)
        let record: JSON
        do throws(JSONError) {
            record = try JSON.parse(bytes)
        } catch {
            throw Failure("run.unreadable", "the record of run \(id) is damaged")
        }
        let all = Explainer(record).explain(record)
        if console.json {
            try console.document([
                "schema": "aegix.why/v1", "run_id": .string(id.description), "outcome": record["outcome"] ?? .null,
                "reasons": .array(all.prefix(most).map(\.json)), "left_out": .int(max(0, all.count - most)),
            ])
            return 0
        }
        let ended = RecordText.outcome(record["outcome"] ?? .null)
        if all.isEmpty {
            try console.print("run \(id) \(ended), and nothing was refused in it")
            return 0
        }
        var lines = ["run \(id) \(ended)"]
        for one in all.prefix(most) { lines += [""] + one.paragraph }
        if all.count > most {
            lines += ["", "and \(all.count - most) more: --json has the first \(most), `aegix show` the rest"]
        }
        try console.print(lines.joined(separator: "\n"))
        return 0
    }
}
