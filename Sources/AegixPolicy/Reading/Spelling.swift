// Pure. The nearest right spelling of a word that isn't known.

enum Spelling {
    /// The closest candidate when it is close enough to be what was meant: one edit in a short word, a third of a long one.
    static func nearest<S: Sequence>(_ word: String, in candidates: S) -> String? where S.Element == String {
        let typed = Array(word.lowercased().utf8.prefix(64))
        var best: (word: String, distance: Int)?
        for candidate in candidates {
            let distance = edits(typed, Array(candidate.lowercased().utf8.prefix(64)))
            if distance < (best?.distance ?? .max) { best = (candidate, distance) }
        }
        guard let best, best.distance <= max(1, (typed.count + 1) / 3), best.distance < typed.count else { return nil }
        return best.word
    }

    /// Insertions, deletions, replacements and swaps of neighbours.
    static func edits(_ a: [UInt8], _ b: [UInt8]) -> Int {
        if a.isEmpty || b.isEmpty { return max(a.count, b.count) }
        var before: [Int] = []
        var previous = Array(0...b.count)
        for row in 1...a.count {
            var current = [row] + Array(repeating: 0, count: b.count)
            for column in 1...b.count {
                let same = a[row - 1] == b[column - 1]
                current[column] = min(
                    previous[column] + 1, current[column - 1] + 1, previous[column - 1] + (same ? 0 : 1))
                if row > 1, column > 1, a[row - 1] == b[column - 2], a[row - 2] == b[column - 1] {
                    current[column] = min(current[column], before[column - 2] + 1)
                }
            }
            before = previous
            previous = current
        }
        return previous[b.count]
    }
}
