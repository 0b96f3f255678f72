// Pure. What of a name another run would spell differently: versions, dates, process numbers, digests, temporary names.

import AegixSystem

public enum NameShape {
    private static let star = UInt8(ascii: "*")
    /// Digits that are no count of anything.
    private static let constants: Set<Bytes> = Set(
        ["x86_64", "amd64", "aarch64", "arm64", "i386", "i686", "lib64", "lib32", "utf-8", "utf_8"].map { Bytes($0) })

    /// A pattern that stands for the name and those like it; everything that is kept is escaped. A name of control characters or
    /// invalid UTF-8 isn't read into: it stands for itself.
    public static func pattern(_ name: Bytes) -> Bytes {
        guard let text = name.text, !text.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7F }) else {
            return Wildcard.escaped(name)
        }
        if isUUID(name) { return [star] }
        var out = Bytes()
        var index = 0
        while index < name.count {
            if let constant = constants.first(where: {
                name[index...].starts(with: $0) && isEnd(name, index + $0.count)
            }),
                index == 0 || !isWord(name[index - 1])
            {
                out += constant
                index += constant.count
                continue
            }
            let end = name[index...].firstIndex { !isWord($0) } ?? name.count
            if end == index {
                out += Wildcard.escaped([name[index]])
                index += 1
                continue
            }
            // mktemp's own: letters alone, as often as not.
            let isMade = end - index >= 6 && name[..<index].suffix(4) == Bytes("tmp.")[...]
            append(isMade ? [star] : shape(Bytes(name[index..<end])), to: &out)
            index = end
        }
        // A name of nothing but wildcards and punctuation would stand for everything.
        return out.contains(where: { isWord($0) }) || isAlone(name) ? out : keepEnding(name, out)
    }

    public static func isGeneral(_ name: Bytes) -> Bool { pattern(name) != Wildcard.escaped(name) }

    private static func append(_ shape: Bytes, to out: inout Bytes) {
        // `3.12.1` is one version, not three.
        if shape == [star], out.last == UInt8(ascii: "."), out.dropLast().last == star { out.removeLast(2) }
        out += shape
    }

    /// A hash or a number alone, as a directory of a cache is called.
    private static func isAlone(_ name: Bytes) -> Bool { name.allSatisfy { isWord($0) || $0 == UInt8(ascii: ".") } }

    private static func keepEnding(_ name: Bytes, _ out: Bytes) -> Bytes { out.isEmpty ? Wildcard.escaped(name) : out }

    private static func shape(_ word: Bytes) -> Bytes {
        if word.allSatisfy(isDigit) { return [star] }
        let temporary = Bytes("tmp")
        if word.starts(with: temporary), word.count >= temporary.count + 6 { return temporary + [star] }
        if isHex(word) || isRandom(word) { return [star] }
        return Wildcard.escaped(word)
    }

    /// Eight or more of them, digits and letters both.
    private static func isHex(_ word: Bytes) -> Bool {
        word.count >= 8 && word.contains(where: isDigit) && word.contains { !isDigit($0) }
            && word.allSatisfy { isDigit($0) || (0x61...0x66).contains($0) || (0x41...0x46).contains($0) }
    }

    /// What mkstemp and its like make: six or more characters that change their kind often.
    private static func isRandom(_ word: Bytes) -> Bool {
        if word.count < 6 || word.count > 64 { return false }
        func kind(_ byte: UInt8) -> Int { isDigit(byte) ? 0 : (0x41...0x5A).contains(byte) ? 1 : byte == 0x5F ? 3 : 2 }
        let changes = zip(word, word.dropFirst()).count { kind($0) != kind($1) }
        return word.contains(where: isDigit) ? changes >= 3 : changes >= 5 && word.count <= 12
    }

    private static func isUUID(_ name: Bytes) -> Bool {
        let parts = name.split(separator: UInt8(ascii: "-"), omittingEmptySubsequences: false)
        return parts.map(\.count) == [8, 4, 4, 4, 12]
            && parts.allSatisfy { $0.allSatisfy { isDigit($0) || (0x61...0x66).contains($0 | 0x20) } }
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

    private static func isWord(_ byte: UInt8) -> Bool {
        isDigit(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte) || byte == UInt8(ascii: "_")
            || byte >= 0x80
    }

    private static func isEnd(_ name: Bytes, _ index: Int) -> Bool { index >= name.count || !isWord(name[index]) }
}
