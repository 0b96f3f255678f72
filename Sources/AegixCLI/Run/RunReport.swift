// Side effects: the last words of a run, on stderr or as one document.

import AegixAudit
import AegixSandbox
import AegixSystem
import AegixWorkspace

struct RunReport {
    let console: Console
    let options: RunOptions
    let runPath: Bytes
    let copy: RecordCopy?
    let recovered: [RunID]

    /// Returns what aegix exits with.
    func tell(_ attempt: RunAttempt, _ violations: [Violation], _ record: Bytes) throws(Failure) -> Int32 {
        var code = attempt.outcome.exitCode
        var late = attempt.lateFailure ?? attempt.result?.lateFailure
        if let error = attempt.result?.logError {
            late = Failure("record.log", "can't keep the command's output", error, exitCode: 123)
        }
        if let applied = attempt.applied, applied.status == .conflict {
            late = late ?? Failure("apply.conflict", applied.line, exitCode: 123)
        }
        late = late ?? attempt.artifactFailure
        if let copy { do throws(Failure) { try copy.write(record) } catch { late = error } }
        if let late, attempt.result?.failure == nil, attempt.failure == nil {
            console.note(late.message)
            code = 123
        }
        if console.json {
            try console.write(record + [UInt8(ascii: "\n")])
        } else if !options.quiet {
            for id in recovered { console.note("run \(id) was killed before; its record is closed as interrupted") }
            if let line = line(attempt, violations) { console.note(line) }
        } else if attempt.outcome.status == .failed, let message = attempt.outcome.message {
            console.note(message)  // quiet is for what went well
        }
        return code
    }

    /// One line when something is worth saying.
    private func line(_ attempt: RunAttempt, _ violations: [Violation]) -> String? {
        var parts: [String] = []
        let outcome = attempt.outcome
        if let message = outcome.message {
            let rule = outcome.limit == nil ? nil : outcome.rule
            parts.append(rule.map { "\(message) (\($0))" } ?? message)
        }
        // glibc asks for a name service at every name it looks up; tier confined refuses, and only the record says so.
        let violations = violations.filter { $0.rule != "socket(AF_UNIX)" }
        if !violations.isEmpty {
            // One rule may have refused several files.
            var rules: [String] = []
            for violation in violations where !rules.contains(violation.rule) { rules.append(violation.rule) }
            let more = rules.count > 3 ? " and \(rules.count - 3) more" : ""
            parts.append("refused inside: \(rules.prefix(3).joined(separator: ", "))\(more)")
        }
        if let artifacts = attempt.artifacts { parts += ArtifactText.problems(artifacts) }
        if attempt.sharesNetwork { parts.append("network.mode = \"host\": it had the host's own network") }
        if let applied = attempt.applied, applied.status != .conflict {
            parts.append(applied.line)
            return parts.joined(separator: "; ")
        }
        switch attempt.changes {
        case .listed(let list) where attempt.isInPlace && !list.changes.contains(where: \.isRisky): break
        case .listed(let list) where list != ChangeList():
            let least = list.cut.isEmpty ? "" : "at least "
            parts.append("\(least)\(ChangeSummary(list.changes).line): aegix review \(Path.name(runPath).shown)")
        case .unknown where attempt.layer == .kept:
            parts.append("changes are kept in \(Path.join(runPath, Bytes("layer/upper")).shown)")
        default: break
        }
        return parts.isEmpty ? nil : parts.joined(separator: "; ")
    }
}
