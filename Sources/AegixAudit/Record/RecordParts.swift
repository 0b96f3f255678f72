// Pure. The parts that the record and the events share, each in one shape.

import AegixNetwork
import AegixPlan
import AegixSandbox
import AegixSystem

extension JSONWriter {
    mutating func strings(_ items: some Sequence<Bytes>) { array(items) { $0.string($1) } }

    mutating func outcome(_ outcome: Outcome) {
        object { json in
            json.key("exit_code")
            json.int(outcome.exitCode)
            json.key("limit")
            json.optional(outcome.limit) { $0.string($1.rawValue) }
            json.key("message")
            json.optional(outcome.message) { $0.string(shortened(Bytes($1), to: RecordBounds.message)) }
            json.key("rule")
            json.optional(outcome.rule) { $0.string($1) }
            json.key("signal")
            json.optional(outcome.signal) { $0.int($1) }
            json.key("status")
            json.string(outcome.status.rawValue)
        }
    }

    /// One member of `processes`.
    mutating func process(_ exec: ExecEvent) {
        var cut = exec.argvCut
        object { json in
            json.key("approval")
            json.optional(exec.approval) { $0.approval($1) }
            json.key("argv")
            json.argv(exec.argv, room: RecordBounds.execArgv, cut: &cut)
            json.key("argv_cut")
            json.bool(cut)
            json.key("decision")
            json.string(exec.decision.rawValue)
            json.key("parent")
            json.optional(exec.parent) { $0.int($1) }
            json.key("pid")
            json.optional(exec.pid > 0 ? exec.pid : nil) { $0.int($1) }
            json.key("program")
            json.string(exec.program)
            json.key("rule")
            json.optional(exec.rule) { $0.string($1) }
            json.key("time")
            json.time(exec.time)
        }
    }

    /// One member of `network`.
    mutating func network(_ event: NetworkEvent) {
        object { json in
            json.key("address")
            json.optional(event.address) { $0.string($1.text) }
            json.key("approval")
            json.optional(event.approval) { $0.approval($1) }
            json.key("count")
            json.size(event.count)
            json.key("decision")
            json.string(event.isAllowed ? event.approval == nil ? "allow" : "approve" : "deny")
            json.key("errno")
            json.optional(event.errno > 0 ? event.errno : nil) { $0.string(Errno.name($1)) }
            json.key("kind")
            json.string(event.kind.rawValue)
            json.key("name")
            json.optional(event.name) { $0.string($1) }
            json.key("pid")
            json.optional(event.pid) { $0.int($1) }
            json.key("port")
            json.optional(event.port) { $0.int(Int($1)) }
            json.key("received_bytes")
            json.size(event.received)
            json.key("rule")
            json.string(event.rule)
            json.key("sent_bytes")
            json.size(event.sent)
            json.key("time")
            json.time(event.time)
        }
    }

    private mutating func approval(_ approval: Approval) {
        object { json in
            json.key("answer")
            json.string(approval.answer.rawValue)
            json.key("asked_at")
            json.time(approval.askedAt)
            json.key("by")
            json.optional(approval.by) { $0.string(shortened(Bytes($1), to: RecordBounds.message)) }
            json.key("cwd")
            json.optional(approval.cwd) { $0.string($1) }
            json.key("duration_ns")
            json.big(approval.duration)
            json.key("message")
            json.optional(approval.message) { $0.string(shortened(Bytes($1), to: RecordBounds.message)) }
            json.key("via")
            json.string(approval.via)
        }
    }

    /// The argument that passes the bound is shortened, those after it are left out.
    private mutating func argv(_ argv: [Bytes], room: Int, cut: inout Bool) {
        var room = room
        var kept: [Bytes] = []
        kept.reserveCapacity(argv.count)
        for argument in argv {
            if room <= 0 {
                cut = true
                break
            }
            if argument.count > room { cut = true }
            kept.append(argument.count > room ? shortened(argument, to: room) : argument)
            room -= argument.count + 1
        }
        strings(kept)
    }

    mutating func violation(_ violation: Violation) {
        object { json in
            json.key("control")
            json.string(violation.control)
            json.key("count")
            json.size(violation.count)
            json.key("errno")
            json.optional(violation.errno > 0 ? violation.errno : nil) { $0.string(Errno.name($1)) }
            json.key("first_pid")
            json.optional(violation.firstPid > 0 ? violation.firstPid : nil) { $0.int($1) }
            json.key("first_time")
            json.time(violation.firstTime)
            json.key("path")
            json.optional(violation.path) { $0.string($1) }
            json.key("rule")
            json.string(violation.rule)
        }
    }

    mutating func enforcement(_ enforcement: RunEnd.Enforcement) {
        object { json in
            json.key("controls")
            json.array(enforcement.controls.prefix(RecordBounds.controls)) { json, control in
                json.object { json in
                    json.key("asked")
                    json.string(control.asked)
                    json.key("held")
                    json.bool(control.held)
                    json.key("mechanism")
                    json.string(control.mechanism)
                    json.key("name")
                    json.string(control.name)
                }
            }
            json.key("tier")
            json.string(enforcement.tier)
        }
    }
}
