// Pure data. What came of a run that was begun.

import AegixAudit
import AegixSandbox
import AegixSystem

struct RunAttempt {
    var result: RunResult?
    /// Nothing ran, because of this.
    var failure: Failure?
    /// It ran, but this went wrong afterwards.
    var lateFailure: Failure?
    var layer = RunLayer.State.none
    var changes = RunEnd.Changes.unknown
    /// In mode `apply`, of a run that exited with 0.
    var applied: ApplyReport?
    /// It ran in the host's own network namespace.
    var sharesNetwork = false

    var outcome: Outcome {
        if let result { return result.outcome }
        let failure = self.failure ?? Failure("launch.failed", "the run didn't start")
        return Outcome(.failed, exitCode: failure.exitCode, rule: failure.code, message: failure.message)
    }
}
