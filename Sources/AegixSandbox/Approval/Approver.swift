// Pure but for the protocol's carriers. A question about one exec, and what an answer is.

import AegixPlan
import AegixPolicy
import AegixSystem

/// Somebody who is asked. Nothing waits in it: the loop polls what it names, and says when time is up.
protocol Approver: AnyObject {
    /// To be polled: what is read, what is written to, and what ends.
    var readable: Int32 { get }
    var writable: Int32 { get }
    var ending: Int32 { get }
    /// The answer, once there is one.
    func step() -> ApprovalReply?
    /// Ends it, answered or not.
    func close()
}

struct ApprovalReply: Equatable {
    var answer: Approval.Answer
    var by: String?
    var message: String?

    static func deny(_ message: String) -> ApprovalReply { ApprovalReply(answer: .deny, by: nil, message: message) }
}

/// A question in words: what is shown to a person, and what is given to a program.
struct ApprovalRequest {
    var id: Int
    var run: String
    var question: ExecQuestion
    var workspace: Bytes
    var timeout: UInt64

    private static let mostShown = 2000

    /// For a person; nothing in it can move the cursor or look like a line of ours.
    var lines: [String] {
        let event = question.event
        var lines = [
            "program    \(event.program.shown)",
            "arguments  \(ApprovalRequest.bounded(argv.map(ApprovalRequest.quoted).joined(separator: " ")))",
        ]
        if let loaded = question.picture.chain.image, question.picture.chain.links.count > 1 {
            lines.append("run by     \(loaded.file.path.shown)")
        }
        lines.append("directory  \((question.cwd ?? workspace).shown)")
        if let rule = question.rule {
            lines.append("rule       \(rule.patternText) (\(rule.origin))")
            if let reason = rule.reason { lines.append("reason     \(Bytes(reason).shown)") }
        }
        return lines
    }

    private var argv: [Bytes] { question.picture.chain.links[0].argv }

    /// One word, and only one, whatever is in it.
    private static func quoted(_ word: Bytes) -> String {
        let plain = word.allSatisfy { byte in
            (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                || "-_./:=,+@%".utf8.contains(byte)
        }
        return plain && !word.isEmpty
            ? word.shown
            : "'" + word.shown.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "\\'") + "'"
    }

    /// Both ends: what matters may stand at either.
    private static func bounded(_ text: String) -> String {
        if text.count <= mostShown { return text }
        let half = mostShown / 2
        return "\(text.prefix(half)) … \(text.count - mostShown) characters left out … \(text.suffix(half))"
    }

    var json: JSON {
        let event = question.event
        var rule: JSON = .null
        if let asked = question.rule {
            rule = [
                "pattern": .string(asked.patternText), "origin": .string(asked.origin),
                "reason": asked.reason.map { .string($0) } ?? .null,
            ]
        }
        return [
            "schema": "aegix.approval/v1", "id": .int(id), "run": .string(run), "program": .bytes(event.program),
            "argv": .array(event.argv.map(JSON.bytes)), "argv_cut": .bool(event.argvCut),
            "loaded": .bytes(question.picture.chain.image?.file.path ?? event.program),
            "cwd": .bytes(question.cwd ?? workspace), "workspace": .bytes(workspace), "pid": .int(Int(event.pid)),
            "rule": rule, "timeout_ms": .int(Int(timeout / 1_000_000)),
        ]
    }
}
