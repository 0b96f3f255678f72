// Side effects: writes events as they happen. Collects what the record needs.

import AegixAudit
import AegixSandbox
import AegixSystem

/// Listens to a run. Bounded: a command can make events as fast as the machine goes.
struct RunRecorder: RunObserver {
    private let events: EventLog
    let began: UInt64
    /// Set once there is a plan.
    var controls: ((Bool) -> RunEnd.Enforcement)?
    private(set) var execs: [ExecEvent] = []
    private(set) var execsLeftOut: UInt64 = 0
    private(set) var violations: [Violation] = []
    private var execBytes = 0

    private static let mostExecs = 10_000
    private static let mostExecBytes = 8 << 20
    private static let mostViolations = 1_000

    init(events: EventLog, began: UInt64) {
        self.events = events
        self.began = began
    }

    mutating func starting() throws(Failure) {
        if let controls { events.enforced(controls(true)) }
        if let error = events.failure { throw Failure("record.events", "can't write the run's events", error) }
    }

    mutating func exec(_ event: ExecEvent) {
        events.exec(event)
        let size = event.argv.reduce(event.program.count) { $0 + $1.count }
        if execs.count >= RunRecorder.mostExecs || execBytes + size > RunRecorder.mostExecBytes {
            execsLeftOut += 1
        } else {
            execs.append(event)
            execBytes += size
        }
    }

    mutating func refused(_ violation: Violation) {
        if let index = violations.firstIndex(where: { $0.rule == violation.rule && $0.control == violation.control }) {
            violations[index].count += 1
        } else if violations.count < RunRecorder.mostViolations {
            violations.append(violation)
            events.violation(violation)
        }
    }

    mutating func limit(_ limit: Outcome.Limit) { events.limit(limit) }
}
