// Pure but for `tell`. What a prune came to, for a person and as a document.

import AegixAudit
import AegixSystem
import AegixWorkspace

struct PruneText {
    private let report: PruneReport
    private let request: PruneRequest

    init(_ report: PruneReport, _ request: PruneRequest) { (self.report, self.request) = (report, request) }

    /// `aegix.prune/v1`.
    var document: JSON {
        [
            "schema": "aegix.prune/v1", "dry_run": .bool(request.isDry), "bytes": .big(size.bytes),
            "bytes_cut": .bool(size.isCut), "more": .bool(report.hasMore),
            "removed": .array(report.removed.map(PruneText.document)),
            "stays": .array(report.stays.map(PruneText.document)),
            "failed": .array(
                report.failed.map { ["run_id": .string($0.run.description), "reason": .string($0.error.reason)] }),
        ]
    }

    private static func document(_ run: PruneReport.Run) -> JSON {
        [
            "run_id": .string(run.id.description), "standing": .string(run.standing.rawValue),
            "bytes": .big(run.size.bytes), "bytes_cut": .bool(run.size.isCut),
            "ended_at": .string(Clock.rfc3339(run.ended)), "workspace": run.workspace.map(JSON.bytes) ?? .null,
            "command": .bytes(run.command),
        ]
    }

    /// One line a run, on stdout; what didn't work, on stderr.
    func tell(_ console: Console) throws(Failure) {
        let verb = request.isDry ? "would remove" : "removed"
        var lines = report.removed.map { PruneText.line(verb, $0) } + report.stays.map { PruneText.line("stays", $0) }
        let count = report.removed.count == 1 ? "1 run" : "\(report.removed.count) runs"
        let amount = size.bytes > 0 || size.isCut ? ", \(PruneText.amount(size))" : ""
        lines.append(report.removed.isEmpty ? "nothing to remove" : "\(verb) \(count)\(amount)")
        try console.print(lines.joined(separator: "\n"))
        for failed in report.failed { console.note("can't remove run \(failed.run): \(failed.error)") }
        if report.hasMore { console.note("there are more; call it again") }
        if report.stays.contains(where: \.standing.isUnreviewed) {
            console.note("`aegix review RUN` shows what waits; --unreviewed removes it, too")
        }
        if request.isDry, !report.removed.isEmpty { console.note("nothing was removed; --yes does it") }
    }

    private var size: TreeSize { report.removed.reduce(TreeSize()) { $0 + $1.size } }

    private static func line(_ verb: String, _ run: PruneReport.Run) -> String {
        let words = why(run.standing).map { "  (\($0))" } ?? ""
        return RecordText.clipped(
            "\(verb) \(run.id)  \(Clock.rfc3339(run.ended).prefix(19))Z  \(amount(run.size))  "
                + "\(run.workspace?.shown ?? "-")  \(run.command.shown)") + words
    }

    static func amount(_ size: TreeSize) -> String {
        (size.isCut ? "at least " : "") + Units.size(Int(clamping: size.bytes))
    }

    private static func why(_ standing: RunStanding) -> String? {
        switch standing {
        case .busy: "it goes on, or its changes are being worked on"
        case .sandbox: "the newest run of a named sandbox"
        case .waiting: "its changes wait for review"
        case .damaged: "its record can't be read, so it isn't known what it holds"
        case .applied: "applied: with it goes the way to undo it"
        case .done: nil
        }
    }
}
