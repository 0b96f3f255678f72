// Side effects: the last words of a run, on stderr or as one document.

import AegixAudit
import AegixNetwork
import AegixSandbox
import AegixSystem
import AegixWorkspace

struct RunReport {
    let console: Console
    let options: RunOptions
    let runPath: Bytes
    let copy: RecordCopy?
    let recovered: [RunID]
    let policy: LoadedPolicy
    let execs: [ExecEvent]

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
        late = late ?? attempt.artifactFailure ?? attempt.inputFailure
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
        let explainer = Explainer(policy, Refusals(execs, attempt.result?.network ?? []))
        if let message = outcome.message {
            let ending = outcome.limit == nil && outcome.status != .denied ? nil : explainer.ending(outcome)
            parts.append(ending.map { bounded($0.line) } ?? message)
        }
        // glibc asks for a name service at every name it looks up; tier confined refuses, and only the record says so.
        let violations = violations.filter { $0.rule != "socket(AF_UNIX)" }
        if let refused = refused(violations.filter { $0.rule != outcome.rule }, explainer) { parts.append(refused) }
        if let artifacts = attempt.artifacts { parts += ArtifactText.problems(artifacts) }
        parts += InputText.problems(attempt.inputs, attempt.result?.input)
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

    /// The most telling refusal, with its rule and what would allow it, and how many others there were.
    private func refused(_ violations: [Violation], _ explainer: Explainer) -> String? {
        let weights = ["commands": 0, "files": 1, "network": 2, "limits": 3]
        let first = violations.enumerated().min {
            (weights[$0.element.control] ?? 4, $0.offset) < (weights[$1.element.control] ?? 4, $1.offset)
        }
        guard let first, let explanation = explainer.violation(first.element.json) else { return nil }
        // One rule may have refused several files.
        let others =
            Set(violations.map { "\($0.control) \($0.rule)" }).count - 1
            + explainer.morePrograms(deniedBy: first.element.rule)
        let more = others > 0 ? "; and \(others) more refused" : ""
        return "refused inside: \(bounded(explanation.line))\(more): aegix why \(Path.name(runPath).shown)"
    }

    /// Half of a secret isn't known for one, so it is taken out before.
    private func bounded(_ line: String) -> String {
        let safe = (console.redactor?.redact(Bytes(line)) ?? Bytes(line)).shown
        return safe.count <= RunReport.longest ? safe : "\(safe.prefix(RunReport.longest))…"
    }

    /// A line that is read in a terminal; `aegix why` has it whole.
    private static let longest = 600
}

extension Refusals {
    init(_ execs: [ExecEvent], _ network: [NetworkEvent]) {
        self.init()
        for event in network where !event.isAllowed {
            note(
                event.subject,
                .init(rule: event.rule, address: event.address?.text, port: event.port.map { Int($0) }))
        }
        for exec in execs where exec.decision == .deny {
            if let rule = exec.rule { note(program: exec.program, rule: rule) }
        }
    }
}

extension Violation {
    /// As the record has it.
    var json: JSON {
        [
            "control": .string(control), "rule": .string(rule), "path": path.map { .bytes($0) } ?? .null,
            "errno": errno > 0 ? .string(Errno.name(errno)) : .null, "count": .int(Int(clamping: count)),
        ]
    }
}
