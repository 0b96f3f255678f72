// Side effects: reads the state directory, closes the records of killed runs, writes to the console.

import AegixAudit
import AegixSystem

/// `aegix history`.
public enum HistoryCommand: Command {
    public static let name = "history"
    public static let summary = "list the recorded runs, newest first"
    public static let usage = ["history [--status STATUS] [--since TIME] [--label KEY=VALUE] [--limit N] [--json]"]
    public static let details = """
        One line a run: its id, when it ended, how, how long it took, its workspace and its command. The runs of all \
        workspaces are listed, those that `aegix prune` removed as `pruned`. `aegix show RUN` shows one of them. The last line says \
        what the state directory takes on disk, as far as that can be counted in 50 ms (`aegix doctor` takes longer).
        """
    public static let options = [
        Option(
            "status", "STATUS", completes: .words(statuses),
            help: "List only runs that came to STATUS: " + statuses.joined(separator: ", ") + "."),
        Option(
            "since", "TIME",
            help: """
                List only runs that ended, or are still running and began, at TIME or later: a date and time in UTC such \
                as 2026-11-21 or 2026-11-21T10:22, or how long ago, such as 90m, 2h or 7d.
                """),
        Option(
            "label", "KEY=VALUE", repeatable: true,
            help: "List only runs with this label. Given more than once, all have to be there."),
        Option("limit", "N", help: "List at most N runs, 1 to 10000. Default: 20."),
        Option.recordState,
    ]

    private static let statuses = [
        "exited", "signaled", "timed_out", "limit_exceeded", "denied", "failed", "interrupted", "running",
    ]

    public static func run(_ arguments: Arguments, _ console: Console) throws(Failure) -> Int32 {
        let began = Clock.monotonic()
        _ = try arguments.operands()
        let query = try self.query(arguments, now: Clock.realtime())
        let path = try StateLocation.current(option: arguments.value("state-dir"))
        let state = try RecordState.open(at: path, console)
        try RecordState.tellStrays(state, console)
        let history = try state?.history(query) ?? History()
        let size = try state?.size(until: StateSizeText.deadline(since: began)) ?? StateSize()
        if console.json {
            try console.document(canonical: document(history, state: StateSizeText.document(size, path)))
        } else if history.entries.isEmpty {
            console.note("no such run is recorded in \(path.shown)")
        } else {
            var text = Bytes()
            text.reserveCapacity(1024 + history.entries.count * 160)
            for entry in history.entries {
                text.append(contentsOf: line(entry, isPruned: history.pruned.contains(entry.run)).utf8)
                text.append(UInt8(ascii: "\n"))
            }
            try console.write(text + "\n\(StateSizeText.line(size, path))\n".utf8)
            if history.hasMore { console.note("there are older ones; --limit N lists more") }
        }
        return 0
    }

    static func query(_ arguments: Arguments, now: UInt64) throws(Failure) -> HistoryQuery {
        var query = HistoryQuery()
        if let status = try arguments.text("status") {
            guard statuses.contains(status) else {
                let near = Spelling.nearest(to: status, in: statuses).map { "; did you mean \($0)?" } ?? ""
                throw Failure("usage.value", "--status has no \(Bytes(status).shown)\(near)")
            }
            query.status = status
        }
        if let since = try arguments.text("since") {
            guard let time = Timestamp.parse(since) ?? ago(since, now) else {
                throw Failure(
                    "usage.value",
                    "--since can't be \(Bytes(since).shown): write 2026-11-21, 2026-11-21T10:22 (UTC), 90m, 2h or 7d")
            }
            query.since = time
        }
        if let limit = try arguments.text("limit") {
            guard let number = Int(limit), (1...10_000).contains(number) else {
                throw Failure("usage.value", "--limit can't be \(Bytes(limit).shown): it is a number from 1 to 10000")
            }
            query.limit = number
        }
        for label in arguments.values("label") {
            let parts =
                label.text.map { $0.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false) } ?? []
            guard parts.count == 2, !parts[0].isEmpty else {
                throw Failure("usage.value", "--label can't be \(label.shown): write KEY=VALUE")
            }
            query.labels[String(parts[0])] = String(parts[1])
        }
        return query
    }

    private static func ago(_ text: String, _ now: UInt64) -> UInt64? {
        let seconds: [Character: UInt64] = ["s": 1, "m": 60, "h": 3600, "d": 86400]
        guard let unit = text.last.flatMap({ seconds[$0] }), let count = UInt64(text.dropLast()), count < 1_000_000
        else {
            return nil
        }
        let span = count * unit * 1_000_000_000
        return span > now ? 0 : now - span
    }

    /// Whole seconds are enough for a list.
    static func line(_ entry: LedgerEntry, isPruned: Bool = false) -> String {
        let time = Clock.rfc3339(entry.time).prefix(19) + "Z"
        let took = entry.closing?.durationNanoseconds.map(Units.duration) ?? ""
        let place = entry.workspace?.shown ?? "-"
        return RecordText.clipped(
            "\(entry.run)  \(time)  \(RecordText.padded(state(entry) + (isPruned ? ", pruned" : ""), 16))  \(RecordText.padded(took, 9))  "
                + "\(place)  \(entry.command.shown)")
    }

    private static func state(_ entry: LedgerEntry) -> String {
        guard let closing = entry.closing else { return "running" }
        return closing.status + (closing.exitCode.map { " \($0)" } ?? "")
    }

    /// `aegix.history/v1`, written straight down: a tree of 10,000 runs would cost more than finding them.
    static func document(_ history: History, state: JSON) -> Bytes {
        var json = JSONWriter(capacity: 4096 + history.entries.count * 512)
        json.object { json in
            json.key("more")
            json.bool(history.hasMore)
            json.key("runs")
            json.array(history.entries) { json, entry in
                write(entry, isPruned: history.pruned.contains(entry.run), to: &json)
            }
            json.key("schema")
            json.string("aegix.history/v1")
            json.key("state")
            json.raw(state.canonical)
        }
        return json.bytes
    }

    private static func write(_ entry: LedgerEntry, isPruned: Bool, to json: inout JSONWriter) {
        json.object { json in
            json.key("command")
            json.string(entry.command)
            json.key("duration_ns")
            json.optional(entry.closing?.durationNanoseconds) { $0.big($1) }
            json.key("exit_code")
            json.optional(entry.closing?.exitCode) { $0.int($1) }
            if entry.kind != .start {
                json.key("finished_at")
                json.time(entry.time)
            }
            json.key("labels")
            json.raw(JSON.object(entry.labels.mapValues(JSON.string)).canonical)
            json.key("pruned")
            json.bool(isPruned)
            json.key("run_id")
            json.string(entry.run.description)
            if entry.kind == .start {
                json.key("started_at")
                json.time(entry.time)
            }
            json.key("status")
            json.string(entry.closing?.status ?? "running")
            json.key("workspace")
            json.optional(entry.workspace) { $0.string($1) }
        }
    }
}
