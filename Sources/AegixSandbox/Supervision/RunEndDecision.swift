// Pure. The one place where a run's outcome is decided, by what was seen: never guessed from an exit code.

import AegixPolicy
import AegixSystem
import CAegix
import Glibc

struct RunEndDecision {
    var failure: Failure?
    var ending: RunLoop.Ending?
    var page: aegix_page
    /// How pid 1 itself ended.
    var initStatus: Int32?
    var limits: Policy.Limits
    /// Passed between two looks of the watchdog, and found at the end.
    var passed: Outcome.Limit?
    /// Limits that refused something.
    var met: [Outcome.Limit]
    /// Limits that were used up. Whether anything was refused wasn't seen.
    var reached: [Outcome.Limit]

    var outcome: Outcome {
        if let failure {
            return Outcome(.failed, exitCode: failure.exitCode, rule: failure.code, message: failure.message)
        }
        switch ending {
        case .signal(let number):
            return Outcome(
                .interrupted, exitCode: 128 + number, signal: number, message: "aegix was sent \(signalName(number))")
        case .limit(let limit): return limited(limit)
        case .denied(let rule):
            return Outcome(.denied, exitCode: 126, rule: rule, message: "the command itself was denied: \(rule)")
        case nil: break
        }
        if page.finished == 0 {
            // pid 1 ended without the command's status: by its own timer, or by somebody outside.
            if page.deadline != 0 { return limited(.wall) }
            if passed == .memory { return limited(.memory) }
            return Outcome(
                .failed, exitCode: 125, message: "the sandbox was killed from outside, by hand or for lack of memory")
        }
        var outcome = commandOutcome
        // Only the kernel's limit on the size of a file sends it.
        let tooLong = limits.disk != nil && outcome.signal == SIGXFSZ ? Outcome.Limit.disk : nil
        let usedUp = outcome.exitCode == 0 ? nil : reached.first
        if let limit = passed ?? met.first ?? tooLong ?? usedUp {
            outcome.limit = limit
            outcome.rule = "limits.\(limit.rawValue)"
            outcome.message = passed == nil ? "met its limit on \(named(limit))" : limited(limit).message
        }
        return outcome
    }

    private func named(_ limit: Outcome.Limit) -> String {
        switch limit {
        case .memory: "memory (\(size(limits.memory)))"
        case .pids: "processes and threads (\(limits.pids ?? 0))"
        case .disk: "disk (\(size(limits.disk)))"
        case .openFiles: "open files (\(limits.openFiles ?? 0))"
        case .wall, .cpuTime, .output, .execs: limit.rawValue
        }
    }

    private var commandOutcome: Outcome {
        let status = page.status
        if status & 0x7f == 0 { return Outcome(.exited, exitCode: status >> 8 & 0xff) }
        let number = status & 0x7f
        return Outcome(.signaled, exitCode: 128 + number, signal: number)
    }

    private func limited(_ limit: Outcome.Limit) -> Outcome {
        let rule = "limits.\(limit.rawValue)"
        switch limit {
        case .wall:
            return Outcome(
                .timedOut, exitCode: 124, limit: limit, rule: rule, message: "over its \(words(limits.wall)) of time")
        case .cpuTime:
            return Outcome(
                .timedOut, exitCode: 124, limit: limit, rule: rule,
                message: "over its \(words(limits.cpuTime)) of CPU time")
        case .output: return killed(limit, "wrote more than \(size(limits.output))")
        case .execs: return killed(limit, "started more than \(limits.execs ?? 0) programs")
        case .memory: return killed(limit, "used more than \(size(limits.memory)) of memory")
        case .pids: return killed(limit, "had more than \(limits.pids ?? 0) processes and threads")
        case .disk: return killed(limit, "wrote more than \(size(limits.disk)) to its writable places")
        case .openFiles: return killed(limit, "had more than \(limits.openFiles ?? 0) files open")
        }
    }

    private func killed(_ limit: Outcome.Limit, _ message: String) -> Outcome {
        Outcome(
            .limitExceeded, exitCode: 137, signal: SIGKILL, limit: limit, rule: "limits.\(limit.rawValue)",
            message: message)
    }

    private func size(_ bytes: UInt64?) -> String { bytes.map(ByteSize.text) ?? "its limit" }

    private func words(_ nanoseconds: UInt64?) -> String {
        guard let nanoseconds else { return "limit" }
        if nanoseconds % 1_000_000_000 == 0 { return "\(nanoseconds / 1_000_000_000) s" }
        return "\(nanoseconds / 1_000_000) ms"
    }

    private func signalName(_ number: Int32) -> String {
        switch number {
        case SIGINT: "SIGINT"
        case SIGTERM: "SIGTERM"
        case SIGHUP: "SIGHUP"
        case SIGQUIT: "SIGQUIT"
        default: "signal \(number)"
        }
    }
}
