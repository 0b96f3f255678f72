// Pure but for the logs that it asks for. Two records of one command: what differs, the possible causes first.

import AegixSystem
import AegixWorkspace

/// A run as it is compared.
public struct ComparedRun {
    public var record: JSON
    /// nil: not known.
    public var changes: ChangeList?
    /// What was captured of a stream; asked for only where the digests differ.
    public var log: (String) -> Bytes?

    public init(record: JSON, changes: ChangeList?, log: @escaping (String) -> Bytes?) {
        self.record = record
        self.changes = changes
        self.log = log
    }

    public init(_ run: RecordedRun) throws(Failure) {
        self.init(record: run.record, changes: try run.changes()) { run.log($0) }
    }
}

extension Comparison {
    /// Stages: what the replay couldn't have alike (`given`), the causes that the records tell of, what came out, and for each of
    /// that the likeliest cause.
    ///
    /// Not done here: a second replay, which tells chance from what can't be explained.
    /// - strict: measured durations and made up names count.
    public static func of(
        _ first: ComparedRun, _ second: ComparedRun, given: [Difference] = [], strict: Bool = false
    ) -> Comparison {
        var comparison = Comparison()
        comparison.causes = given
        CauseComparison(first.record, second.record, told: given).note(in: &comparison)
        let order = Dictionary(
            Difference.Area.allCases.enumerated().map { ($0.element, $0.offset) },
            uniquingKeysWith: { first, _ in first })
        // Stable: within an area the order is that in which they were found.
        comparison.causes = comparison.causes.enumerated().sorted {
            let (one, other) = (order[$0.element.area] ?? 0, order[$1.element.area] ?? 0)
            return one == other ? $0.offset < $1.offset : one < other
        }.map(\.element)
        comparison.bound()
        OutputComparison(first, second, strict: strict).note(in: &comparison)
        let likely = LikelyCause(comparison.causes)
        for index in comparison.outputs.indices {
            comparison.outputs[index].cause = likely.of(comparison.outputs[index])
        }
        return comparison
    }

    /// Of each area; the rest is counted. A record may be a stranger's, and as long as 64 MiB.
    private static let mostCauses = 10_000

    private mutating func bound() {
        var counts: [Difference.Area: Int] = [:]
        causes.removeAll { cause in
            counts[cause.area, default: 0] += 1
            return counts[cause.area, default: 0] > Comparison.mostCauses
        }
        for area in Difference.Area.allCases {
            let more = counts[area, default: 0] - Comparison.mostCauses
            if more > 0 { unknown.append("\(more) more differences in \(area.rawValue)") }
        }
    }

    /// With what a second replay showed: the same again can't be explained, anything else is chance.
    public mutating func settle(by again: Comparison) {
        let areas = Set(again.outputs.map(\.area))
        for index in outputs.indices where Comparison.isDoubtful(outputs[index]) {
            if areas.contains(outputs[index].area) {
                outputs[index].cause = .nondeterministic
            } else if outputs[index].cause == nil {
                outputs[index].cause = .unexplained
            }
        }
    }

    /// Something came out differently, and nothing that was compared says why, or only what rarely is the reason.
    public var isUnexplained: Bool { outputs.contains(where: Comparison.isDoubtful) }

    private static func isDoubtful(_ output: Difference) -> Bool {
        guard case .difference(let area, _) = output.cause else { return output.cause == nil }
        return [.enforcement, .limits, .host].contains(area)
    }
}
