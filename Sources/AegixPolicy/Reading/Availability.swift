// Pure data. What the format knows and this version doesn't enforce yet. A key is taken out of this table in the same
// commit that enforces it; nothing else decides on what is available.

enum Availability {
    /// What of a key is accepted nevertheless, because it asks for nothing.
    enum Accepted {
        case nothing
        case only([String])
        case emptyList
        case emptyText
    }

    /// Every key under a table's name alone, or one key by its path.
    static let later: [String: Accepted] = [
        "determinism": .nothing
    ]

    /// Whether a value that is right in itself asks for something that isn't there yet.
    static func refuses(_ path: String, in table: String?, _ value: Setting.Value) -> Bool {
        guard let accepted = later[path] ?? table.flatMap({ later[$0] }) else { return false }
        switch (accepted, value) {
        case (.only(let words), .word(let word)): return !words.contains(word)
        case (.emptyList, .words(let words)): return !words.isEmpty
        case (.emptyText, .word(let word)): return !word.isEmpty
        default: return true
        }
    }
}
