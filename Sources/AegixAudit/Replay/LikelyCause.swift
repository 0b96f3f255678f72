// Pure. Of several causes, the one that an output most likely comes from.

import AegixSystem

struct LikelyCause {
    private let causes: [Difference]

    /// That an output is searched for, of each area: a comparison may have as many outputs, and each of them a line of text.
    private static let mostNamed = 1000

    init(_ causes: [Difference]) { self.causes = causes }

    /// nil: nothing differs that could be one.
    func of(_ output: Difference) -> Difference.Cause? {
        var (least, found): (Int, Difference?) = (.max, nil)
        var named: [Difference.Area: Int] = [:]
        for cause in causes {
            // A limit that nobody met explains nothing: one that was met shows in the exit, or as a refusal.
            if cause.area == .limits, output.area != .exit { continue }
            named[cause.area, default: 0] += 1
            let isSearched = named[cause.area, default: 0] <= LikelyCause.mostNamed
            let rank = LikelyCause.rank(cause, of: output, isSearched: isSearched)
            if rank < least { (least, found) = (rank, cause) }
        }
        return found.map { .difference($0.area, $0.subject) }
    }

    /// Lower is likelier. What says most about what the command does comes first; that the kernel is another one explains least.
    private static func rank(_ cause: Difference, of output: Difference, isSearched: Bool) -> Int {
        func mentions(_ output: Difference, _ name: Bytes) -> Bool {
            isSearched && LikelyCause.mentions(output, name)
        }
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
