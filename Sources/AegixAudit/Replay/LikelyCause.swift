// Pure. Of several causes, the one that an output most likely comes from.

import AegixSystem

enum LikelyCause {
    /// nil: nothing differs that could be one.
    static func of(_ output: Difference, among causes: [Difference]) -> Difference.Cause? {
        // A limit that nobody met explains nothing: one that was met shows in the exit, or as a refusal.
        let eligible = causes.filter { $0.area != .limits || output.area == .exit }
        let ranked = eligible.enumerated().min { one, other in
            let (a, b) = (rank(one.element, of: output), rank(other.element, of: output))
            return a == b ? one.offset < other.offset : a < b
        }
        guard let found = ranked?.element else { return nil }
        return .difference(found.area, found.subject)
    }

    /// Lower is likelier. What says most about what the command does comes first; that the kernel is another one explains least.
    private static func rank(_ cause: Difference, of output: Difference) -> Int {
        // A file that the output itself names.
        if cause.area == .inputs, mentions(output, cause.subject) { return 0 }
        switch cause.area {
        case .command: return 1
        case .limits where output.area == .exit && output.subject == Bytes("limit"): return 1
        case .network: return 2
        case .policy: return isRefusal(cause) ? 3 : 7
        case .inputs: return 4
        case .programs: return 5
        case .environment: return mentions(output, cause.subject) ? 4 : 6
        case .enforcement: return 8
        case .limits: return 9
        case .host: return 10
        default: return 11
        }
    }

    private static func isRefusal(_ cause: Difference) -> Bool { cause.after == Bytes("refused") }

    private static func mentions(_ output: Difference, _ name: Bytes) -> Bool {
        if name.count < 3 { return false }
        return [output.subject, output.before ?? [], output.after ?? []].contains { text in
            text.count >= name.count
                && (0...(text.count - name.count)).contains { text[$0..<$0 + name.count].elementsEqual(name) }
        }
    }
}
