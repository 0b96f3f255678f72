// Side effects: removes runs from the state directory, writes to the console.

import AegixAudit
import AegixPolicy
import AegixSystem
import Glibc

/// `aegix prune`.
///
/// Words ─► PruneRequest ─► StateDirectory.prune, which decides run by run ─► told run by run. Not done here: the ledger keeps
/// its lines, and named sandboxes stay (`aegix reset NAME`).
public enum PruneCommand: Command {
    public static let name = "prune"
    public static let summary = "remove old runs"
    public static let usage = [
        "prune [--keep N] [--older-than DURATION] [--max-size SIZE] [--unreviewed] [--yes|--dry-run] [--state-dir DIR] [--json]"
    ]
    public static let details = """
        A run is removed, with its record, its output and its layer, when all that is given says so: it isn't one of the \
        newest N, it ended longer than DURATION ago, and without it the runs still take more than SIZE. The oldest go \
        first, and each is named. The ledger keeps what it says of them, and gets a line more.

        Never removed: runs that go on, or whose changes are just being applied, undone or dropped, and the newest run of a \
        named sandbox. A run whose changes wait for review, all of them or some, stays unless --unreviewed is given. The \
        undoing of an applied run goes with the run.

        On a terminal nothing is removed without --yes: it says what would be. Killed at any moment, the next prune goes \
        on with what it had begun.
        """
    public static let options = [
        Option("keep", "N", help: "Keep the newest N runs. Default: as many as the other options leave."),
        Option(
            "older-than", "DURATION",
            help:
                "Remove only runs that ended longer ago, such as 30m, 12h or 90d. Default: however long ago they ended."
        ),
        Option(
            "max-size", "SIZE",
            help:
                "Stop once the runs take SIZE on disk or less, such as 500MiB or 10GB. Default: however little they take."
        ),
        Option(
            "unreviewed",
            help: "Remove also runs whose changes were neither applied nor dropped. Default: they stay, and are named."),
        Option("yes", help: "Do it, also on a terminal. Default: on a terminal it is only said."),
        Option("dry-run", help: "Say what would be removed, and remove nothing. Default: as on a terminal."),
        Option.recordState,
    ]

    public static func run(_ arguments: Arguments, _ console: Console) throws(Failure) -> Int32 {
        _ = try arguments.operands()
        let request = try self.request(arguments, now: Clock.realtime(), isTerminal: isatty(STDOUT_FILENO) == 1)
        let path = try StateLocation.current(option: arguments.value("state-dir"))
        let state = try RecordState.open(at: path, console)
        try RecordState.tellStrays(state, console)
        let report = try state?.prune(request) ?? PruneReport()
        // What a prune that was killed left.
        if !request.isDry { _ = try state?.clearAway(until: .max) }
        let text = PruneText(report, request)
        if console.json { try console.document(text.document) } else { try text.tell(console) }
        return report.failed.isEmpty ? 0 : 123
    }

    static func request(_ arguments: Arguments, now: UInt64, isTerminal: Bool) throws(Failure) -> PruneRequest {
        var request = PruneRequest()
        if let text = try arguments.text("keep") {
            guard let number = Int(text), number >= 0, text.utf8.first != UInt8(ascii: "+") else {
                throw Failure("usage.value", "--keep can't be \(Bytes(text).shown): it is a number of runs")
            }
            request.keep = number
        }
        if let text = try arguments.text("older-than") {
            guard let span = TimeSpan.parse(text) else {
                throw Failure(
                    "usage.value", "--older-than can't be \(Bytes(text).shown): write \(TimeSpan.allowed)")
            }
            request.endedBefore = now - min(now, span)
        }
        if let text = try arguments.text("max-size") {
            guard let size = ByteSize.parse(text) else {
                throw Failure("usage.value", "--max-size can't be \(Bytes(text).shown): write \(ByteSize.allowed)")
            }
            request.size = size
        }
        if request.keep == nil, request.endedBefore == nil, request.size == nil {
            throw Failure("usage.missing", "say what may go: --keep N, --older-than DURATION or --max-size SIZE")
        }
        if arguments.flag("yes"), arguments.flag("dry-run") {
            throw Failure("usage.conflict", "--yes and --dry-run contradict each other: choose one")
        }
        request.includesUnreviewed = arguments.flag("unreviewed")
        request.isDry = arguments.flag("dry-run") || isTerminal && !arguments.flag("yes")
        return request
    }
}
