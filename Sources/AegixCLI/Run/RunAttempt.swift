// Pure data. What came of a run that was begun.

import AegixAudit
import AegixPlan
import AegixSandbox
import AegixSystem
import AegixWorkspace

struct RunAttempt {
    var result: RunResult?
    /// Nothing ran, because of this.
    var failure: Failure?
    /// It ran, but this went wrong afterwards.
    var lateFailure: Failure?
    var layer = RunLayer.State.none
    var changes = RunEnd.Changes.unknown
    /// nil: nothing was asked for, or nothing ran.
    var artifacts: ArtifactCollection?
    /// nil: nothing was asked for, or nothing ran.
    var inputs: InputFindings?
    /// They are in the workspace already, and wait for nothing.
    var isInPlace = false
    /// In mode `apply`, of a run that exited with 0.
    var applied: ApplyReport?
    /// It ran in the host's own network namespace.
    var sharesNetwork = false

    /// The sandbox, supervised to its end; once more on a copy of the workspace, where no overlay can be had.
    ///
    /// - check: refuses a plan that won't do.
    mutating func run(
        _ recorder: RunRecorder, _ io: RunIO, check: (Plan) throws(Failure) -> Void = { (_) throws(Failure) in }
    ) {
        var observer = recorder
        do throws(Failure) {
            let plan = try recorder.makePlan()
            try check(plan)
            result = try Supervisor.run(plan, io: io, observer: &observer)
            if let other = try recorder.makePlan(after: result) {
                result = try Supervisor.run(other, io: io, observer: &observer)
            }
        } catch {
            failure = error
        }
    }

    /// The command ran, and the collection failed as a whole.
    var artifactFailure: Failure? {
        if let error = artifacts?.error {
            return Failure("artifacts.failed", "artifacts aren't complete: \(error)", exitCode: 123)
        }
        guard let out = artifacts?.out, let error = out.error else { return nil }
        return Failure("artifacts.out", "can't put the artifacts into \(out.path.shown): \(error)", exitCode: 123)
    }

    /// The command ran, and what it read couldn't be told or kept.
    var inputFailure: Failure? {
        guard let inputs, inputs.isFailed, let error = inputs.error else { return nil }
        return Failure("inputs.failed", "what was read isn't recorded whole: \(error)", exitCode: 123)
    }

    var outcome: Outcome {
        if let result { return result.outcome }
        let failure = self.failure ?? Failure("launch.failed", "the run didn't start")
        return Outcome(.failed, exitCode: failure.exitCode, rule: failure.code, message: failure.message)
    }
}
