// Pure data. What came of a run that was begun.

import AegixAudit
import AegixPlan
import AegixPolicy
import AegixSandbox
import AegixSystem

struct RunAttempt {
    var plan: Plan?
    var result: RunResult?
    /// Nothing ran, because of this.
    var failure: Failure?
    /// It ran, but this went wrong afterwards.
    var lateFailure: Failure?
    var layer = Layer.State.none

    var outcome: Outcome {
        if let result { return result.outcome }
        let failure = self.failure ?? Failure("launch.failed", "the run didn't start")
        return Outcome(.failed, exitCode: failure.exitCode, rule: failure.code, message: failure.message)
    }

    /// The record's second half.
    func end(_ recorder: RunRecorder, includeText: Bool) -> RunEnd {
        var end = RunEnd(
            outcome, finishedAt: Clock.realtime(), durationNanoseconds: Clock.monotonic() - recorder.began)
        end.execs = recorder.execs
        end.execsLeftOut = recorder.execsLeftOut
        end.violations = recorder.violations
        end.includeText = includeText
        let mode = plan?.workspaceMode
        end.changes = layer == .kept || (mode == .direct && result?.program != nil) ? .unknown : .none
        guard let result else { return end }
        end.usage = result.usage
        end.program = result.program
        end.programDigest = result.programDigest
        end.stdout = result.stdout
        end.stderr = result.stderr
        end.enforcement = recorder.controls.map { controls in
            var enforcement = controls(result.program != nil)
            enforcement.controls.append(
                Control("stdin", asked: "nothing inherited", mechanism: result.stdin, held: true))
            return enforcement
        }
        return end
    }
}
