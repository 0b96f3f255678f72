// Pure. argv patterns of command rules, and the examples that are checked against them.

import AegixSystem

/// A pattern a word, or several of which one has to match; `**` stands for any number of words. The first is matched on the
/// program's name, or on its whole path when the pattern holds a slash.
public struct CommandPattern: Equatable, Sendable {
    /// Each with its alternatives.
    public internal(set) var words: [[Bytes]]

    static let many = Bytes("**")

    /// Why a word can't match.
    static func defect(_ word: String, isProgram: Bool, isAlone: Bool) -> String? {
        if isProgram, word.isEmpty || word.hasSuffix("/") { return "names no program" }
        if word == "**", !isAlone { return "stands for any number of words, and can't be an alternative" }
        return Wildcard.defect(Bytes(word))
    }

    /// What the first word says of a program: nothing where it is `**`.
    public var programs: [Bytes] {
        guard let first = words.first, first != [CommandPattern.many] else { return [] }
        return first
    }

    /// What a word without wildcards stands for.
    public static func literal(_ word: Bytes) -> Bytes? { Wildcard.escapesAll(word) ? Wildcard.unescaped(word) : nil }

    public static func matches(word: Bytes, _ text: Bytes) -> Bool { Wildcard.matches(word, text) }

    /// A command line as it is written in an example.
    func matches(_ argv: [Bytes]) -> Bool {
        guard let program = argv.first else { return false }
        return matchesProgram([program], byName: true) && matchesArguments(argv.dropFirst())
    }

    /// - byName: whether a pattern without a slash is matched on the last component of a path.
    func matchesProgram(_ paths: [Bytes], byName: Bool) -> Bool {
        if programs.isEmpty { return !words.isEmpty }
        return programs.contains { pattern in
            if pattern.contains(Path.slash) { return paths.contains { Wildcard.matches(pattern, $0) } }
            return byName && paths.contains { Wildcard.matches(pattern, Path.name($0)) }
        }
    }

    /// What follows the program; a leading `**` takes the program along.
    func matchesArguments(_ arguments: ArraySlice<Bytes>) -> Bool {
        if programs.isEmpty { return CommandPattern.matches(words[...], [Bytes()] + arguments) }
        return CommandPattern.matches(words.dropFirst(), arguments)
    }

    /// One star is gone back to at a time, as in a word.
    private static func matches(_ pattern: ArraySlice<[Bytes]>, _ argv: ArraySlice<Bytes>) -> Bool {
        var at = pattern.startIndex
        var place = argv.startIndex
        var star: (pattern: Int, word: Int)?
        while place < argv.endIndex {
            if at < pattern.endIndex, pattern[at] == [many] {
                star = (at, place)
                at += 1
            } else if at < pattern.endIndex, pattern[at].contains(where: { Wildcard.matches($0, argv[place]) }) {
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
        return pattern[at...].allSatisfy { $0 == [many] }
    }

    // MARK: - Coverage

    /// Whether everything that `other` matches is matched here, too. Never wrongly yes; a no may only mean that it can't be
    /// shown.
    func covers(_ other: CommandPattern) -> Bool {
        if programs.isEmpty { return CommandPattern.covers(words[...], other.words[...]) }
        guard !other.programs.isEmpty, let first = words.first else { return false }
        let all = other.programs.allSatisfy { program in first.contains { CommandPattern.covers(program: $0, program) }
        }
        return all && CommandPattern.covers(words.dropFirst(), other.words.dropFirst())
    }

    private static func covers(program: Bytes, _ other: Bytes) -> Bool {
        if !program.contains(Path.slash), other.contains(Path.slash) { return covers(word: program, Path.name(other)) }
        return program.contains(Path.slash) == other.contains(Path.slash) && covers(word: program, other)
    }

    private static func covers(word: Bytes, _ other: Bytes) -> Bool {
        if word == Bytes("*") || word == other { return true }
        return Wildcard.escapesAll(other) && Wildcard.matches(word, Wildcard.unescaped(other))
    }

    /// Row by row, so that patterns of many `**` cost their product and no more.
    private static func covers(_ pattern: ArraySlice<[Bytes]>, _ other: ArraySlice<[Bytes]>) -> Bool {
        let (mine, theirs) = (Array(pattern), Array(other))
        // `row[j]`: what is left of mine covers what is left of theirs from j on.
        var row = [Bool](repeating: false, count: theirs.count + 1)
        row[theirs.count] = true
        for word in mine.reversed() {
            var next = [Bool](repeating: false, count: theirs.count + 1)
            for j in stride(from: theirs.count, through: 0, by: -1) {
                if word == [many] {
                    next[j] = row[j] || j < theirs.count && next[j + 1]
                } else if j < theirs.count, theirs[j] != [many] {
                    let all = theirs[j].allSatisfy { one in word.contains { covers(word: $0, one) } }
                    next[j] = all && row[j + 1]
                }
            }
            row = next
        }
        return row[0]
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
