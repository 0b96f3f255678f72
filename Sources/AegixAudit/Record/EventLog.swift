// Side effects: appends to `events.jsonl` of a run.

import AegixNetwork
import AegixSandbox
import AegixSystem
import Glibc

/// What happens, as it happens, one write(2) a line: it is what is left of a run whose aegix gets killed. Bounded in lines
/// and bytes; past that one line says `cut`. A write that fails isn't thrown into the middle of the supervision: it is
/// kept, nothing further is written, and the end of the run reports it.
public final class EventLog {
    private let file: Descriptor
    private var running = SHA256()
    private var lines = 0
    private(set) var bytes = 0
    private var isCut = false
    private var seen: Set<String> = []
    public private(set) var failure: SystemError?

    static let name = "events.jsonl"

    private let redactor: Redactor?

    init(file: consuming Descriptor, redactor: Redactor? = nil) {
        self.file = file
        self.redactor = redactor
    }

    /// The controls are in force and the command is about to be released.
    public func enforced(_ enforcement: RunEnd.Enforcement) {
        let enforcement = redactor.map { enforcement.redacted(by: $0) } ?? enforcement
        append { json in
            json.object { json in
                json.key("enforcement")
                json.enforcement(enforcement)
                json.key("event")
                json.string("enforced")
                json.key("time")
                json.time(Clock.realtime())
            }
        }
    }

    public func exec(_ exec: ExecEvent) {
        let exec = redactor.map { exec.redacted(by: $0) } ?? exec
        append { json in
            json.object { json in
                json.key("event")
                json.string("exec")
                json.key("process")
                json.process(exec)
                json.key("time")
                json.time(exec.time)
            }
        }
    }

    /// The first of each rule; how often it was is known at the end.
    public func violation(_ violation: Violation) {
        guard seen.count < RecordBounds.violations,
            seen.insert([violation.control, violation.rule, violation.path?.shown ?? ""].joined(separator: "\n"))
                .inserted
        else {
            return
        }
        let violation = redactor.map { violation.redacted(by: $0) } ?? violation
        append { json in
            json.object { json in
                json.key("event")
                json.string("violation")
                json.key("time")
                json.time(violation.firstTime)
                json.key("violation")
                json.violation(violation)
            }
        }
    }

    /// When it is first seen; its bytes are known at the end.
    public func network(_ event: NetworkEvent) {
        let event = redactor.map { event.redacted(by: $0) } ?? event
        append { json in
            json.object { json in
                json.key("event")
                json.string("network")
                json.key("network")
                json.network(event)
                json.key("time")
                json.time(event.time)
            }
        }
    }

    public func limit(_ limit: Outcome.Limit) {
        append { json in
            json.object { json in
                json.key("event")
                json.string("limit")
                json.key("limit")
                json.string(limit.rawValue)
                json.key("time")
                json.time(Clock.realtime())
            }
        }
    }

    func start(_ start: RunStart, _ parts: StartParts) {
        var cuts = parts.cuts
        append { json in
            json.object { json in
                json.key("event")
                json.string("start")
                json.key("record")
                json.object { json in
                    json.key("aegix")
                    json.raw(parts.aegix)
                    json.key("command")
                    StartParts.write(start.command, digest: start.command.digest, into: &json, &cuts)
                    json.key("cut")
                    cuts.write(into: &json)
                    json.key("determinism")
                    json.raw(parts.determinism)
                    json.key("environment")
                    json.raw(parts.environment)
                    json.key("host")
                    json.raw(parts.host)
                    json.key("identity")
                    json.raw(parts.identity)
                    json.key("invocation")
                    json.raw(parts.invocation)
                    json.key("labels")
                    json.raw(parts.labels)
                    json.key("parent")
                    json.raw(parts.parent)
                    json.key("policy")
                    json.raw(parts.policy)
                    json.key("run_id")
                    json.raw(parts.runID)
                    json.key("started_at")
                    json.raw(parts.startedAt)
                    json.key("views")
                    json.raw(parts.views)
                    json.key("workspace")
                    json.raw(parts.workspace)
                }
                json.key("time")
                json.time(start.startedAt)
            }
        }
    }

    /// Written although the bounds are reached: it is the last line.
    func outcome(_ outcome: Outcome, time: UInt64) {
        append(always: true) { json in
            json.object { json in
                json.key("event")
                json.string("outcome")
                json.key("outcome")
                json.outcome(outcome)
                json.key("time")
                json.time(time)
            }
        }
    }

    /// SHA-256 of what was written.
    func digest() -> String {
        var copy = running
        return copy.finish()
    }

    func sync() throws(SystemError) { try StateFile.sync(file) }

    private func append(always: Bool = false, _ build: (inout JSONWriter) -> Void) {
        if failure != nil || isCut && !always { return }
        var json = JSONWriter(capacity: 512)
        build(&json)
        if !always, lines >= RecordBounds.events || bytes + json.bytes.count > RecordBounds.eventBytes {
            isCut = true
            json = JSONWriter(capacity: 128)
            json.object { json in
                json.key("event")
                json.string("cut")
                json.key("time")
                json.time(Clock.realtime())
            }
        }
        write(json.bytes + [UInt8(ascii: "\n")])
    }

    private func write(_ line: Bytes) {
        while true {
            let count = line.withUnsafeBytes { Glibc.write(file.raw, $0.baseAddress, $0.count) }
            if count == line.count { break }
            if count < 0, errno == EINTR { continue }
            failure = count < 0 ? SystemError.last("write", Bytes(EventLog.name)) : SystemError("write", errno: ENOSPC)
            return
        }
        running.update(line)
        lines += 1
        bytes += line.count
    }
}
