// Side effects: writes to the console. What an apply or a reset came to, for a person and as a document.

import AegixAudit
import AegixSystem
import AegixWorkspace

extension ApplyReport {
    /// Lists are bounded; the counts are whole.
    private static let most = 1000
    private static let mostShown = 20

    func json(_ schema: String) -> JSON {
        [
            "commit": commit.map { .string($0) } ?? .null,
            "in_git": .int(inGit),
            "untracked": .array(untracked.prefix(ApplyReport.most).map { .bytes($0) }), "schema": .string(schema),
            "run_id": .string(run.description), "workspace": .bytes(workspace),
            "status": .string(status.rawValue), "already": .int(already),
            "changed": .array(changed.prefix(ApplyReport.most).map { .bytes($0) }),
            "changed_count": .int(changed.count),
            "conflicts": .array(
                conflicts.prefix(ApplyReport.most).map { ["path": .bytes($0.path), "reason": .string($0.reason)] }),
            "conflict_count": .int(conflicts.count),
            "left_out": .array(
                leftOut.prefix(ApplyReport.most).map { one in
                    ["path": .bytes(one.path), "reason": .string(one.reason.word)]
                }), "left_out_count": .int(leftOut.count),
            "secrets": .array(secrets.prefix(ApplyReport.most).map { .bytes($0) }), "secret_count": .int(secrets.count),
        ]
    }

    /// Conflicts go to stderr, what was done to stdout.
    func tell(_ console: Console) throws(Failure) {
        if let secretWarning { console.note(secretWarning) }
        for conflict in conflicts.prefix(ApplyReport.mostShown) {
            console.note("\(ApplyReport.shown(conflict.path)) \(conflict.reason)")
        }
        if conflicts.count > ApplyReport.mostShown {
            console.note("… and \(conflicts.count - ApplyReport.mostShown) more")
        }
        for one in leftOut.prefix(ApplyReport.mostShown) {
            console.note("left out: \(ApplyReport.shown(one.path)) \(one.reason.words)")
        }
        if leftOut.count > ApplyReport.mostShown {
            console.note("left out: … and \(leftOut.count - ApplyReport.mostShown) more")
        }
        if inGit > 0 {
            console.note("left out: \(ApplyReport.count(inGit)) in git directories, which --commit leaves as they are")
        }
        for path in untracked.prefix(ApplyReport.mostShown) {
            console.note("not in the commit: \(ApplyReport.shown(path)) isn't tracked by git")
        }
        if untracked.count > ApplyReport.mostShown {
            console.note("not in the commit: … and \(untracked.count - ApplyReport.mostShown) more")
        }
        if let commit { try console.print("run \(run) is committed as \(commit)") }
        switch status {
        case .applied:
            try console.print(
                "\(ApplyReport.count(changed.count)) of run \(run) applied to \(workspace.shown); `aegix reset \(run)` undoes it"
            )
        case .reset: try console.print("\(workspace.shown) is as it was before run \(run) was applied")
        case .already: try console.print("run \(run) is already applied")
        case .nothing where already > 0:
            try console.print("nothing to do: \(workspace.shown) already is as run \(run) left it")
        case .nothing: try console.print("nothing to do for run \(run)")
        case .conflict: console.note("nothing was changed in \(workspace.shown)")
        }
    }

    private var secretWarning: String? {
        if secrets.isEmpty { return nil }
        let some = secrets.prefix(3).map(ApplyReport.shown).joined(separator: ", ")
        let more = secrets.count > 3 ? ", and \(secrets.count - 3) more" : ""
        return "warning: a secret of the run now lies in the workspace, in \(some)\(more)"
    }

    /// One line, for a run that applies its changes by itself.
    var line: String {
        switch status {
        case .conflict:
            let some = conflicts.prefix(3).map { "\(ApplyReport.shown($0.path)) \($0.reason)" }.joined(separator: ", ")
            let more = conflicts.count > 3 ? ", and \(conflicts.count - 3) more" : ""
            return "its changes aren't applied: \(some)\(more). `aegix apply \(run)` tries again"
        default:
            var parts: [String] = secretWarning.map { [$0] } ?? []
            if !changed.isEmpty {
                parts.append("\(ApplyReport.count(changed.count)) applied; `aegix reset \(run)` undoes it")
            }
            if !leftOut.isEmpty {
                let some = leftOut.prefix(3).map { "\(ApplyReport.shown($0.path)) \($0.reason.words)" }
                parts.append(
                    "left out: " + some.joined(separator: ", ")
                        + (leftOut.count > 3 ? ", and \(leftOut.count - 3) more" : ""))
            }
            return parts.joined(separator: "; ")
        }
    }

    private static func count(_ number: Int) -> String { number == 1 ? "1 change" : "\(number) changes" }

    private static func shown(_ path: Bytes) -> String { path.isEmpty ? "the workspace itself" : path.shown }
}
