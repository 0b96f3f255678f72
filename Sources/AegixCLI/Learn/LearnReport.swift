// Side effects: the last words of a learning run.

import AegixPolicy
import AegixSandbox
import AegixSystem

struct LearnReport {
    let console: Console
    let options: LearnOptions
    let output: PolicyOutput?

    /// Returns what aegix exits with.
    func tell(_ lesson: Lesson, _ attempt: RunAttempt, workspace: Bytes) throws(Failure) -> Int32 {
        var code = attempt.outcome.exitCode
        if let late = attempt.lateFailure ?? attempt.result?.lateFailure {
            console.note(late.message)
            code = 123
        }
        if console.json {
            try console.document(document(lesson, attempt, code))
            return code
        }
        if output == nil { try console.write(lesson.text) }
        if options.run.quiet { return code }
        if let message = attempt.outcome.message { console.note(message) }
        var parts: [String] = []
        if let output { parts.append("wrote \(output.path.shown)") }
        if !lesson.refused.isEmpty { parts.append("\(lesson.refused.count) refused or out of view") }
        if !lesson.learned.leftOut.isEmpty { parts.append("\(lesson.learned.leftOut.count) left out, named in it") }
        if let output, Path.contains(workspace, output.path) {
            parts.append("it lies in the workspace: read it, then `aegix policy trust \(output.path.shown)`")
        }
        if !parts.isEmpty { console.note(parts.joined(separator: "; ")) }
        return code
    }

    private func document(_ lesson: Lesson, _ attempt: RunAttempt, _ code: Int32) -> JSON {
        let outcome = attempt.outcome
        return [
            "schema": "aegix.learn/v1", "exit_code": .int(Int(code)), "status": .string(outcome.status.rawValue),
            "file": output.map { .bytes($0.path) } ?? .null, "policy": .bytes(lesson.text),
            "entries": .array(
                lesson.learned.entries.map { entry in
                    ["key": .string(entry.key), "value": .string(entry.value), "because": .string(entry.reason)]
                }),
            "left_out": .array(lesson.learned.leftOut.map { .string($0) }),
            "refused": .array(lesson.refused.map { .string(redacted($0)) }),
        ]
    }

    private func redacted(_ line: String) -> String { console.redactor?.redact(line) ?? line }
}
