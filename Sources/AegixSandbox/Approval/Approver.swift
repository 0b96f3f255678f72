// Pure but for the protocol's carriers. A question about one exec or one name, and what an answer is.

import AegixNetwork
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

/// What somebody is asked about. Its caller waits.
enum Question {
    case exec(ExecQuestion)
    case name(NameQuestion)
}

/// A question in words: what is shown to a person, and what is given to a program.
struct ApprovalRequest {
    var id: Int
    var run: String
    var question: Question
    var workspace: Bytes
    var timeout: UInt64
    /// Who is asked may be a chat room: declared secrets stay out of the question.
    var redactor: Redactor?

    private static let mostShown = 2000

    /// What is wanted, and what a yes stands for.
    var title: String {
        switch question {
        case .exec: "the command wants to run a program, and waits:"
        case .name: "the command wants to connect to a name that no rule covers, and waits:"
        }
    }
    var once: String {
        switch question {
        case .exec: "it once"
        case .name: "one connection"
        }
    }
    var always: String {
        switch question {
        case .exec: "exactly this for the whole run"
        case .name: "this name for the whole run"
        }
    }

    /// For a person; nothing in it can move the cursor or look like a line of ours.
    var lines: [String] {
        switch question {
        case .exec(let question): lines(question)
        case .name(let question):
            [
                "name       \(safe(Bytes(question.name)).shown)",
                "ports      \(question.port.map(String.init) ?? ApprovalRequest.ports.map(String.init).joined(separator: " and "))",
                "rule       \(Bytes(question.rule).shown)",
            ]
        }
    }

    private func safe(_ bytes: Bytes) -> Bytes { redactor?.redact(bytes) ?? bytes }

    private static var ports: [UInt16] { NetworkDecision.consented }

    private func lines(_ question: ExecQuestion) -> [String] {
        let event = question.event
        let argv = question.picture.chain.links[0].argv
        var lines = [
            "program    \(safe(event.program).shown)",
            "arguments  \(ApprovalRequest.bounded(argv.map { ApprovalRequest.quoted(safe($0)) }.joined(separator: " ")))",
        ]
        if let loaded = question.picture.chain.image, question.picture.chain.links.count > 1 {
            lines.append("run by     \(safe(loaded.file.path).shown)")
        }
        lines.append("directory  \(safe(question.cwd ?? workspace).shown)")
        if let rule = question.rule {
            lines.append("rule       \(rule.patternText) (\(rule.origin))")
            if let reason = rule.reason { lines.append("reason     \(Bytes(reason).shown)") }
        }
        return lines
    }

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
        var members: [String: JSON] = [
            "schema": "aegix.approval/v1", "id": .int(id), "run": .string(run), "workspace": .bytes(workspace),
            "timeout_ms": .int(Int(timeout / 1_000_000)),
        ]
        switch question {
        case .exec(let question):
            let event = question.event
            members["kind"] = "exec"
            members["program"] = .bytes(event.program)
            members["argv"] = .array(
                event.argv.enumerated().map { index, word in
                    let isCut = event.argvCut && index == event.argv.count - 1
                    return .bytes(redactor?.redact(word, isCut: isCut) ?? word)
                })
            members["argv_cut"] = .bool(event.argvCut)
            members["loaded"] = .bytes(question.picture.chain.image?.file.path ?? event.program)
            members["cwd"] = .bytes(question.cwd ?? workspace)
            members["pid"] = .int(Int(event.pid))
            members["rule"] = .null
            if let asked = question.rule {
                members["rule"] = [
                    "pattern": .string(asked.patternText), "origin": .string(asked.origin),
                    "reason": asked.reason.map { .string($0) } ?? .null,
                ]
            }
        case .name(let question):
            members["kind"] = "name"
            members["name"] = .string(question.name)
            members["ports"] = .array((question.port.map { [$0] } ?? ApprovalRequest.ports).map { .int(Int($0)) })
            members["pid"] = question.pid.map { .int(Int($0)) } ?? .null
            members["rule"] = [
                "pattern": "network.unknown", "origin": question.origin.map { .string($0) } ?? .null, "reason": .null,
            ]
        }
        return JSON.object(members).redacted(by: redactor)
    }
}
