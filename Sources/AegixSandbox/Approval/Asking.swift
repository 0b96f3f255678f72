// Side effects: starts and ends a question. Decides nothing: no answer, and no way to ask, are a no.

import AegixPlan
import AegixPolicy
import AegixSystem
import CAegix

/// One question under way. The sandbox is frozen from before it is shown until after it is answered.
final class Asking {
    let question: Question
    /// By the monotonic clock: after this the answer is no.
    let deadline: UInt64
    private let began = Clock.monotonic()
    private let askedAt = Clock.realtime()
    private let via: Policy.Approval.Via
    private var approver: (any Approver)?
    private var fault: ApprovalReply?

    /// - Stages: all is frozen and the output is out (the loop's part, before), then the question.
    init(_ request: ApprovalRequest, _ approval: Policy.Approval) {
        question = request.question
        via = approval.via
        deadline = Clock.monotonic() &+ approval.timeout
        switch approval.via {
        case .deny: fault = .deny("approval.via = \"deny\"")
        case .tty:
            approver = ApprovalPrompt(request)
            if approver == nil { fault = .deny("there is no terminal in front to ask on") }
        case .command:
            do throws(Failure) {
                approver = try ApprovalCommand(approval.command.map { Bytes($0) }, request.json)
            } catch {
                fault = .deny(error.message)
            }
        }
    }

    var readable: Int32 { approver?.readable ?? -1 }
    var writable: Int32 { approver?.writable ?? -1 }
    var ending: Int32 { approver?.ending ?? -1 }

    /// The answer, when there is one by now.
    func step(now: UInt64) -> Approval? {
        if let fault { return approval(fault) }
        if let reply = approver?.step() { return approval(reply) }
        return now >= deadline ? approval(.deny("unanswered")) : nil
    }

    func cancel() -> Approval { approval(.deny("the run ended")) }

    private func approval(_ reply: ApprovalReply) -> Approval {
        approver?.close()
        return Approval(
            via: via.rawValue, by: reply.by, answer: reply.answer, message: reply.message, askedAt: askedAt,
            duration: Clock.monotonic() &- began, cwd: question.cwd)
    }
}

extension Question {
    var cwd: Bytes? {
        if case .exec(let question) = self { return question.cwd }
        return nil
    }
}
