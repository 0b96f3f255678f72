// Pure data. What a replay came to.

import AegixAudit
import AegixSystem

struct ReplayReport {
    let original: RunID
    let replay: RunID
    var comparison = Comparison()
    /// The second replay, made where nothing explained a difference.
    var again: RunID?
    var variations: [Variation] = []

    struct Variation {
        let name: ReplayVariation
        let run: RunID
        let comparison: Comparison

        init(_ name: ReplayVariation, run: RunID, _ comparison: Comparison) {
            (self.name, self.run, self.comparison) = (name, run, comparison)
        }

        /// The command depends on it.
        var isHiddenInput: Bool { !comparison.isSame }
    }

    init(original: RunID, replay: RunID) { (self.original, self.replay) = (original, replay) }

    var isSame: Bool { comparison.isSame && !variations.contains(where: \.isHiddenInput) }

    var verdict: String { isSame ? "same" : "drift" }

    /// `aegix.replay/v1`
    var json: JSON {
        [
            "schema": "aegix.replay/v1", "run_id": .string(original.description), "replay": .string(replay.description),
            "again": again.map { .string($0.description) } ?? .null, "verdict": .string(verdict),
            "exit_code": .int(isSame ? 0 : 1), "causes": .array(comparison.causes.map(ReplayReport.json)),
            "outputs": .array(comparison.outputs.map(ReplayReport.json)),
            "disregarded": .array(comparison.disregarded.map(JSON.string)),
            "unknown": .array(comparison.unknown.map(JSON.string)),
            "variations": .array(
                variations.map { variation in
                    [
                        "name": .string(variation.name.rawValue), "run_id": .string(variation.run.description),
                        "hidden_input": .bool(variation.isHiddenInput),
                        "outputs": .array(variation.comparison.outputs.map(ReplayReport.json)),
                    ]
                }),
        ]
    }

    private static func json(_ difference: Difference) -> JSON {
        var members: [String: JSON] = [
            "area": .string(difference.area.rawValue), "subject": .bytes(difference.subject),
            "before": difference.before.map { .bytes($0) } ?? .null,
            "after": difference.after.map { .bytes($0) } ?? .null,
            "note": difference.note.map(JSON.string) ?? .null,
        ]
        if difference.area.isOutput { members["cause"] = cause(difference.cause) }
        return .object(members)
    }

    private static func cause(_ cause: Difference.Cause?) -> JSON {
        switch cause {
        case .difference(let area, let subject)?: ["area": .string(area.rawValue), "subject": .bytes(subject)]
        case .nondeterministic?: "nondeterministic"
        case .unexplained?: "unexplained"
        case nil: .null
        }
    }
}
