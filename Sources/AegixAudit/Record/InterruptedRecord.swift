// Pure. The record of a run whose aegix was killed, from what it had written until then.

import AegixSystem
import AegixWorkspace

enum InterruptedRecord {
    /// What is found on disk.
    struct Remains {
        var id: RunID
        /// `events.jsonl`, whose last line may be half a line.
        var events: Bytes
        var logs: [Log] = []
        var layer = RunLayer.State.none
        /// It worked on a copy of the workspace.
        var hadCopy = false
        /// `<state>/runs/<id>`.
        var directory: Bytes

        struct Log {
            var name: String
            var bytes: UInt64
            var digest: String
        }
    }

    static let message =
        "aegix was killed, or the machine stopped, before the run ended; a later command closed the record"

    static func isReplay(_ events: Bytes) -> Bool {
        Found(events).start["invocation"]?["how"]?.string == RunStart.Invocation.replay
    }

    /// What can't be known is null.
    ///
    /// - list: what the layer holds, asked where there is one.
    static func make(_ remains: Remains, list: (Layer, [String: JSON]) -> InterruptedLayer.Finding) -> (
        record: JSON, changes: ChangeList?
    ) {
        let found = Found(remains.events)
        var record: [String: JSON] = [
            "aegix": nil, "command": nil, "determinism": [], "environment": [], "host": nil, "identity": nil,
            "invocation": nil, "labels": [:], "parent": nil, "policy": nil, "started_at": nil, "views": [],
            "workspace": nil,
        ]
        // Only the members that a start event has: it lies where only we write, but may be damaged.
        for (name, value) in found.start where record[name] != nil { record[name] = value }
        var cut = found.start["cut"]?.object ?? [:]
        if found.isCut { cut["processes"] = ["kept": .int(found.processes.count), "of": nil] }
        record["schema"] = .string(AuditRecord.schema)
        record["run_id"] = .string(remains.id.description)
        record["cut"] = .object(cut)
        record["duration_ns"] = .null
        record["finished_at"] = found.outcomeTime ?? .null
        record["enforcement"] = found.enforcement ?? .null
        record["outcome"] = found.outcome ?? interrupted()
        record["processes"] = .array(found.processes)
        record["violations"] = .array(found.violations)
        record["usage"] = .null
        record["streams"] = [
            "redacted": nil, "stderr": stream("stderr.log", remains), "stdin": nil,
            "stdout": stream("stdout.log", remains),
        ]
        record["changes"] = .null
        record["collection"] = .null
        record["layer"] = .null
        record["retention"] = .null
        for name in ["artifacts", "inputs", "loaded", "network"] { record[name] = [] }
        if found.start["workspace"]?["mode"]?.string == "direct", found.outcome == nil {
            record["outcome"] = interrupted(
                "it wrote the workspace in place, and what that was like before went with it")
        }
        guard remains.layer == .kept || remains.hadCopy else { return (.object(record), nil) }
        let style = found.start["workspace"]?["layer"]?.string.flatMap(Layer.Style.init) ?? .user
        let layer = Layer(upper: Path.join(remains.directory, Bytes("layer/upper")), style: style)
        if remains.layer == .kept {
            record["layer"] = ["path": .bytes(layer.upper), "style": .string(style.rawValue)]
        }
        let finding = list(layer, record)
        guard let changes = finding.list else {
            if found.outcome == nil { record["outcome"] = interrupted(finding.reason) }
            return (.object(record), nil)
        }
        var cuts = Cuts()
        let listed = AuditRecord.changes(changes, &cuts)
        if let noted = cuts.entries["changes"] {
            cut["changes"] = ["kept": .int(noted.kept), "of": noted.of.map { .int(Int($0)) } ?? .null]
        }
        record["cut"] = .object(cut)
        record["changes"] = parsed(listed) ?? .null
        return (.object(record), changes)
    }

    private static func parsed(_ bytes: Bytes) -> JSON? {
        do throws(JSONError) { return try JSON.parse(bytes) } catch { return nil }
    }

    /// - reason: why what it changed isn't known.
    private static func interrupted(_ reason: String? = nil) -> JSON {
        [
            "exit_code": nil, "limit": nil, "message": .string(message + (reason.map { "; \($0)" } ?? "")),
            "rule": nil, "signal": nil, "status": "interrupted",
        ]
    }

    /// How much the command wrote in all isn't known, only what had reached the log.
    private static func stream(_ name: String, _ remains: Remains) -> JSON {
        guard let log = remains.logs.first(where: { $0.name == name }) else { return .null }
        return [
            "bytes": nil, "captured": .int(Int(min(log.bytes, 1 << 53 - 1))),
            "path": .bytes(Path.join(remains.directory, Bytes(name))), "redacted": nil, "sha256": .string(log.digest),
            "terminal": nil,
            "text": nil, "text_cut": false, "truncated": nil,
        ]
    }

    private struct Found {
        var start: [String: JSON] = [:]
        var enforcement: JSON?
        var outcome: JSON?
        var outcomeTime: JSON?
        var processes: [JSON] = []
        var violations: [JSON] = []
        var isCut = false

        init(_ events: Bytes) {
            for line in events.split(separator: UInt8(ascii: "\n")) {
                guard
                    case .success(let event) = Result(catching: { () throws(JSONError) in try JSON.parse(Bytes(line)) })
                else { continue }
                switch event["event"]?.string {
                case "start": start = event["record"]?.object ?? [:]
                case "enforced": enforcement = event["enforcement"]
                case "exec":
                    if processes.count < RecordBounds.execs, let process = event["process"] {
                        processes.append(process)
                    }
                case "violation": if let violation = event["violation"] { violations.append(violation) }
                case "outcome":
                    outcome = event["outcome"]
                    outcomeTime = event["time"]
                case "cut": isCut = true
                default: break
                }
            }
        }
    }
}
