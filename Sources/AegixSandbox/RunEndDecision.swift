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
    var execs: UInt64

    var outcome: Outcome {
        if let failure {
            return Outcome(.failed, exitCode: failure.exitCode, rule: failure.code, message: failure.message)
        }
        switch ending {
        case .signal(let number):
            return Outcome(
                .interrupted, exitCode: 128 + number, signal: number, message: "aegix was sent \(signalName(number))")
        case .limit(let limit): return limited(limit)
        case nil: break
        }
        if page.finished == 0 {
            // pid 1 ended without the command's status: by its own timer, or by somebody outside.
            if page.deadline != 0 { return limited(.wall) }
            return Outcome(
                .failed, exitCode: 125, message: "the sandbox was killed from outside, by hand or for lack of memory")
        }
        return commandOutcome
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
        case .output:
            return Outcome(
                .limitExceeded, exitCode: 137, signal: SIGKILL, limit: limit, rule: rule,
                message: "wrote more than \(limits.output ?? 0) bytes")
        case .execs:
            return Outcome(
                .limitExceeded, exitCode: 137, signal: SIGKILL, limit: limit, rule: rule,
                message: "started more than \(limits.execs ?? 0) programs")
        case .openFiles:
            return Outcome(.limitExceeded, exitCode: 137, limit: limit, rule: rule)
        }
    }

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
