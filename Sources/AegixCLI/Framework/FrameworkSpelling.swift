// Pure. The word that was probably meant.

public enum Spelling {
    /// The candidate with the fewest edits, if they are few for its length; the first of equals.
    public static func nearest(to word: String, in candidates: [String]) -> String? {
        var best: (name: String, distance: Int)?
        for candidate in candidates {
            let distance = distance(Array(word.lowercased().utf8), Array(candidate.lowercased().utf8))
            let allowed = max(1, min(word.utf8.count, candidate.utf8.count) / 3)
            if distance <= allowed, distance < best?.distance ?? Int.max { best = (candidate, distance) }
        }
        return best?.name ?? prefixed(by: word, in: candidates)
    }

    /// A word cut short names its candidate when only one begins with it.
    private static func prefixed(by word: String, in candidates: [String]) -> String? {
        let matches = candidates.filter { word.utf8.count >= 2 && $0.hasPrefix(word) }
        return matches.count == 1 ? matches[0] : nil
    }

    /// Insertions, deletions, substitutions and swaps of neighbours. Words of a user are short; a long one is no slip.
    private static func distance(_ a: [UInt8], _ b: [UInt8]) -> Int {
        if a.isEmpty || b.isEmpty || a.count > 64 || b.count > 64 { return max(a.count, b.count) }
        var rows = [[Int]](repeating: [Int](repeating: 0, count: b.count + 1), count: a.count + 1)
        for i in 0...a.count { rows[i][0] = i }
        for j in 0...b.count { rows[0][j] = j }
        for i in 1...a.count {
            for j in 1...b.count {
                let cost = a[i - 1] == b[j - 1] ? 0 : 1
                var least = min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + cost)
                if i > 1, j > 1, a[i - 1] == b[j - 2], a[i - 2] == b[j - 1] {
                    least = min(least, rows[i - 2][j - 2] + 1)
                }
                rows[i][j] = least
            }
        }
        return rows[a.count][b.count]
    }
}
