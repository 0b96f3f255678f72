// Pure. Matching of one word: `*`, `?`, `[a-z]`, `[!a]`, and `\` that takes the next character as it is.

import AegixSystem

enum Wildcard {
    static let special = Set("*?[\\".utf8)

    /// Whether a pattern stands for one word only.
    static func escapesAll(_ pattern: Bytes) -> Bool {
        var escaped = false
        for byte in pattern {
            if escaped {
                escaped = false
            } else if byte == UInt8(ascii: "\\") {
                escaped = true
            } else if special.contains(byte) {
                return false
            }
        }
        return true
    }

    /// Why a pattern can't match anything, if so.
    static func defect(_ pattern: Bytes) -> String? {
        var index = 0
        while index < pattern.count {
            switch pattern[index] {
            case UInt8(ascii: "\\"):
                if index + 1 == pattern.count { return "ends with a lone `\\`" }
                index += 2
            case UInt8(ascii: "["):
                guard let end = classEnd(pattern, index) else {
                    return "has a `[` without its `]`; write `\\[` for the character"
                }
                index = end + 1
            default: index += 1
            }
        }
        return nil
    }

    /// The bytes that a pattern without wildcards stands for.
    static func unescaped(_ pattern: Bytes) -> Bytes {
        var out = Bytes()
        var escaped = false
        for byte in pattern {
            if byte == UInt8(ascii: "\\"), !escaped {
                escaped = true
            } else {
                out.append(byte)
                escaped = false
            }
        }
        return out
    }

    static func escaped(_ literal: Bytes) -> Bytes {
        literal.flatMap { special.contains($0) ? [UInt8(ascii: "\\"), $0] : [$0] }
    }

    /// One star is gone back to at a time, so the cost is bounded by the product of both lengths.
    static func matches(_ pattern: Bytes, _ word: Bytes) -> Bool {
        var at = 0
        var place = 0
        var star: (pattern: Int, word: Int)?
        while place < word.count {
            if at < pattern.count, pattern[at] == UInt8(ascii: "*") {
                star = (at, place)
                at += 1
            } else if at < pattern.count, let step = one(pattern, at, word, place) {
                at = step.pattern
                place = step.word
            } else if let back = star {
                star = (back.pattern, back.word + 1)
                at = back.pattern + 1
                place = back.word + 1
            } else {
                return false
            }
        }
        return pattern[at...].allSatisfy { $0 == UInt8(ascii: "*") }
    }

    /// The places after one element of the pattern that matches here.
    private static func one(_ pattern: Bytes, _ at: Int, _ word: Bytes, _ place: Int) -> (pattern: Int, word: Int)? {
        switch pattern[at] {
        case UInt8(ascii: "?"):
            var next = place + 1
            // A character, not a byte, where the name is UTF-8.
            while next < word.count, word[place] >= 0xC0, word[next] & 0xC0 == 0x80 { next += 1 }
            return (at + 1, next)
        case UInt8(ascii: "["):
            guard let end = classEnd(pattern, at) else { return nil }
            var members = pattern[(at + 1)..<end]
            let negated = members.first == UInt8(ascii: "!") || members.first == UInt8(ascii: "^")
            if negated { members = members.dropFirst() }
            return contains(Array(members), word[place]) != negated ? (end + 1, place + 1) : nil
        case UInt8(ascii: "\\"):
            guard at + 1 < pattern.count, pattern[at + 1] == word[place] else { return nil }
            return (at + 2, place + 1)
        default: return pattern[at] == word[place] ? (at + 1, place + 1) : nil
        }
    }

    private static func contains(_ members: Bytes, _ byte: UInt8) -> Bool {
        var index = 0
        while index < members.count {
            if index + 2 < members.count, members[index + 1] == UInt8(ascii: "-") {
                if members[index] <= byte, byte <= members[index + 2] { return true }
                index += 3
            } else {
                if members[index] == byte { return true }
                index += 1
            }
        }
        return false
    }

    /// The index of the `]`; one that stands first is a member.
    private static func classEnd(_ pattern: Bytes, _ start: Int) -> Int? {
        var first = start + 1
        if first < pattern.count, pattern[first] == UInt8(ascii: "!") || pattern[first] == UInt8(ascii: "^") {
            first += 1
        }
        guard first + 1 <= pattern.count else { return nil }
        return pattern.indices.dropFirst(first + 1).first { pattern[$0] == UInt8(ascii: "]") }
    }
}
