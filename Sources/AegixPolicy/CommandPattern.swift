// Pure. argv patterns of command rules, and the examples that are checked against them.

import AegixSystem

/// A pattern a word; `**` stands for any number of words. The first is matched on the program's name, or on its whole
/// path when the pattern holds a slash.
struct CommandPattern {
    let words: [Bytes]

    /// Why a pattern can't match, with the index of the word at fault.
    static func defect(_ words: [String]) -> (index: Int, reason: String)? {
        for (index, word) in words.enumerated() {
            if word.isEmpty, index == 0 { return (0, "names no program") }
            if let reason = Wildcard.defect(Bytes(word)) { return (index, reason) }
        }
        return nil
    }

    func matches(_ argv: [Bytes]) -> Bool {
        guard let program = argv.first, let first = words.first else { return false }
        var argv = argv
        if !first.contains(Path.slash) { argv[0] = Path.name(program) }
        return Self.matches(words[...], argv[...])
    }

    private static func matches(_ pattern: ArraySlice<Bytes>, _ argv: ArraySlice<Bytes>) -> Bool {
        var at = pattern.startIndex
        var place = argv.startIndex
        var star: (pattern: Int, word: Int)?
        while place < argv.endIndex {
            if at < pattern.endIndex, pattern[at] == Bytes("**") {
                star = (at, place)
                at += 1
            } else if at < pattern.endIndex, Wildcard.matches(pattern[at], argv[place]) {
                at += 1
                place += 1
            } else if let back = star {
                star = (back.pattern, back.word + 1)
                at = back.pattern + 1
                place = back.word + 1
            } else {
                return false
            }
        }
        return pattern[at...].allSatisfy { $0 == Bytes("**") }
    }

    /// An example's words as a shell would part them: blanks, quotes and backslash; nil when a quote doesn't end.
    static func split(_ line: String) -> [Bytes]? {
        var words: [Bytes] = []
        var word: Bytes?
        var quote: UInt8?
        var escaped = false
        for byte in line.utf8 {
            if escaped {
                word = (word ?? []) + [byte]
                escaped = false
            } else if byte == UInt8(ascii: "\\"), quote != UInt8(ascii: "'") {
                escaped = true
            } else if let open = quote {
                if byte == open { quote = nil } else { word = (word ?? []) + [byte] }
            } else if byte == UInt8(ascii: "'") || byte == UInt8(ascii: "\"") {
                quote = byte
                word = word ?? []
            } else if byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") {
                if let done = word { words.append(done) }
                word = nil
            } else {
                word = (word ?? []) + [byte]
            }
        }
        if let done = word { words.append(done) }
        return quote == nil && !escaped ? words : nil
    }
}
