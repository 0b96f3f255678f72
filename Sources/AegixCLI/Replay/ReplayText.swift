// Pure. A replay's report for a person: bounded, and no byte of the command's reaches the terminal as it is.

import AegixAudit
import AegixSystem

enum ReplayText {
    /// Of each area.
    private static let most = 20

    static func text(_ report: ReplayReport) -> String {
        let comparison = report.comparison
        var lines = ["run \(report.original) replayed as \(report.replay): \(headline(report))"]
        let causes = section(comparison.causes)
        let title =
            comparison.isSame
            ? "other than then, without a difference in what came out" : "other than then: possible causes"
        if !causes.isEmpty { lines += ["", title] + causes }
        let outputs = section(comparison.outputs, among: comparison.causes)
        if !outputs.isEmpty { lines += ["", "what came out differently"] + outputs }
        if !comparison.disregarded.isEmpty {
            lines +=
                ["", "differs, and doesn't count (--strict)"] + comparison.disregarded.map { "  " + clipped(Bytes($0)) }
        }
        if !comparison.unknown.isEmpty {
            lines += ["", "can't be compared"] + comparison.unknown.prefix(most).map { "  " + clipped(Bytes($0)) }
        }
        if let again = report.again {
            lines += ["", "nothing that was compared says why, so it was run once more, as \(again)"]
        }
        if !report.variations.isEmpty { lines += ["", "variations"] + report.variations.flatMap(variation) }
        return lines.joined(separator: "\n")
    }

    private static func headline(_ report: ReplayReport) -> String {
        if report.isSame { return "same" }
        if report.comparison.isSame {
            let names = report.variations.filter(\.isHiddenInput).map(\.name.rawValue).joined(separator: ", ")
            return "same, but it depends on \(names)"
        }
        return "drift"
    }

    private static func variation(_ variation: ReplayReport.Variation) -> [String] {
        let head = "  " + RecordText.padded(variation.name.rawValue, 12)
        if !variation.isHiddenInput { return [head + "same"] }
        // The cause is the variation itself.
        return [head + "a hidden input"] + section(variation.comparison.outputs).map { "  " + $0 }
    }

    /// - causes: what the cause of each may be; nil: it isn't told.
    private static func section(_ differences: [Difference], among causes: [Difference]? = nil) -> [String] {
        var lines: [String] = []
        for area in Difference.Area.allCases {
            let all = differences.filter { $0.area == area }
            for one in all.prefix(most) {
                lines.append("  \(RecordText.padded(area.rawValue, 12))\(line(one, among: causes))")
            }
            if all.count > most { lines.append("  \(RecordText.padded("", 12))… and \(all.count - most) more") }
        }
        return lines
    }

    static func line(_ difference: Difference, among causes: [Difference]?) -> String {
        var text = clipped(difference.subject)
        switch (difference.before, difference.after) {
        case (let before?, let after?): text += ": \(clipped(before)) → \(clipped(after))"
        case (let before?, nil): text += ": \(clipped(before)) → nothing"
        case (nil, let after?): text += ": nothing → \(clipped(after))"
        case (nil, nil): break
        }
        if let note = difference.note { text += "; \(Bytes(note).shown)" }
        if let causes { text += "  (\(cause(difference.cause, among: causes)))" }
        return text
    }

    private static func cause(_ cause: Difference.Cause?, among causes: [Difference]) -> String {
        switch cause {
        case .difference(let area, let subject)? where causes.count(where: { $0.area == area }) > 1:
            let count = causes.count { $0.area == area }
            return "likeliest cause: \(area.rawValue), \(clipped(subject)) of \(count) that differ"
        case .difference(let area, let subject)?: return "likeliest cause: \(area.rawValue), \(clipped(subject))"
        case .nondeterministic?: return "nondeterministic: it came out differently once more"
        case .unexplained?: return "unexplained: it came out the same way twice"
        case nil: return "no cause is known"
        }
    }

    private static func clipped(_ bytes: Bytes) -> String {
        let text = Bytes(bytes.prefix(400)).shown
        return text.count > 120 ? text.prefix(119) + "…" : text
    }
}
