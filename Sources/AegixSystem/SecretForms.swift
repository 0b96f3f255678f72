// Pure. The spellings under which a secret's bytes are looked for.

/// Stages: the value and its lines; as JSON, Python and URLs write them; as base64 and hexadecimal. What isn't looked for: anything
/// that takes the bytes apart, such as compression, encryption, a reversed or a spaced-out text.
struct SecretForms {
    /// Sought byte by byte.
    private(set) var plain: Set<Bytes> = []
    /// Sought with line breaks let through: base64 and hexadecimal are folded into lines.
    private(set) var coded: Set<Bytes> = []

    /// Lines of a value that are sought for themselves: a key is often printed in part.
    private static let leastLine = 8

    init(_ value: Bytes) {
        var whole = value
        // Whoever handles a value that came from a file drops the newline at its end.
        while let last = whole.last, last == 0x0A || last == 0x0D { whole.removeLast() }
        if whole.count < Secret.least { whole = value }
        add(whole)
        if let host = SecretForms.inHostName(whole) { plain.insert(host) }
        encoded(whole)
        let lines = whole.split(separator: 0x0A).map { $0.last == 0x0D ? Bytes($0.dropLast()) : Bytes($0) }
        if lines.count < 2 { return }
        add(Bytes(lines.joined(separator: [0x0A])))
        // As a terminal shows them.
        add(Bytes(lines.joined(separator: [0x0D, 0x0A])))
        for line in lines where line.count >= SecretForms.leastLine { add(line) }
    }

    private mutating func add(_ value: Bytes) {
        plain.insert(value)
        for isASCII in [false, true] {
            for style in Escapes.all { plain.insert(SecretForms.escaped(value, style, isASCII: isASCII)) }
        }
        for kept in SecretForms.unreserved {
            for upper in [true, false] {
                for plus in [true, false] {
                    plain.insert(SecretForms.percent(value, kept: kept, upper: upper, plus: plus))
                }
            }
        }
    }

    /// Resolvers and URL parsers write host names in lower case. A short word is one that others use, too.
    private static func inHostName(_ value: Bytes) -> Bytes? {
        let isHost = value.allSatisfy { byte in
            (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                || "-_.".utf8.contains(byte)
        }
        guard isHost, value.count >= leastLine else { return nil }
        return value.map { (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 }
    }

    // MARK: - Escapes

    private struct Escapes {
        var slash = false
        var html = false
        var upper = false
        /// As Python shows bytes.
        var bytes = false

        static let all = [
            Escapes(), Escapes(slash: true), Escapes(html: true), Escapes(upper: true), Escapes(bytes: true),
        ]
    }

    private static func escaped(_ value: Bytes, _ style: Escapes, isASCII: Bool) -> Bytes {
        var out = Bytes()
        func hex(_ number: UInt32, _ width: Int) -> Bytes {
            let digits = String(number, radix: 16, uppercase: style.upper)
            return Bytes(String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits)
        }
        func unit(_ unit: UInt32) { out += Bytes("\\u") + hex(unit, 4) }
        func single(_ byte: UInt8) -> Bool {
            switch byte {
            case 0x5C: out += Bytes("\\\\")
            case 0x22 where !style.bytes: out += Bytes("\\\"")
            case 0x27 where style.bytes: out += Bytes("\\'")
            case 0x0A: out += Bytes("\\n")
            case 0x0D: out += Bytes("\\r")
            case 0x09: out += Bytes("\\t")
            case 0x08 where !style.bytes: out += Bytes("\\b")
            case 0x0C where !style.bytes: out += Bytes("\\f")
            case 0x2F where style.slash: out += Bytes("\\/")
            case 0x3C where style.html, 0x3E where style.html, 0x26 where style.html: unit(UInt32(byte))
            default:
                if byte >= 0x20, byte < 0x7F { out.append(byte) } else { return false }
            }
            return true
        }
        guard !style.bytes, let text = value.text else {
            for byte in value where !single(byte) { out += Bytes("\\x") + hex(UInt32(byte), 2) }
            return out
        }
        for scalar in text.unicodeScalars {
            if scalar.value < 0x80, single(UInt8(scalar.value)) { continue }
            if !isASCII, scalar.value >= 0x7F {
                out += Bytes(String(scalar))
            } else {
                for part in UTF16.encode(scalar).map(Array.init) ?? [] { unit(UInt32(part)) }
            }
        }
        return out
    }

    // MARK: - URLs

    /// RFC 3986; with `/`, as Python leaves it; as JavaScript's encodeURIComponent; a form's.
    private static let unreserved = ["-_.~", "-_.~/", "-_.!~*'()", "-_.*"].map { Bytes($0) }

    private static func percent(_ value: Bytes, kept: Bytes, upper: Bool, plus: Bool) -> Bytes {
        var out = Bytes()
        for byte in value {
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: out.append(byte)
            case 0x20 where plus: out.append(UInt8(ascii: "+"))
            case _ where kept.contains(byte): out.append(byte)
            default:
                let digits = Bytes(String(byte, radix: 16, uppercase: upper))
                out += [UInt8(ascii: "%")] + (digits.count < 2 ? [UInt8(ascii: "0")] : []) + digits
            }
        }
        return out
    }

    // MARK: - Base64 and hexadecimal

    private mutating func encoded(_ value: Bytes) {
        let hex = Bytes(Hex.encode(value))
        coded.insert(hex)
        coded.insert(Bytes(String(decoding: hex, as: UTF8.self).uppercased()))
        for offset in 0..<3 {
            let all = Bytes(Base64.encode(Bytes(repeating: 0, count: offset) + value))
            let filled = all.prefix { $0 != UInt8(ascii: "=") }
            // The characters that hold bits of what stands before or after the value can be any.
            let first = [0, 2, 3][offset]
            let last = filled.count - ((offset + value.count) % 3 == 0 ? 0 : 1)
            for text in [Bytes(filled[first..<last]), Bytes(filled[first...]), Bytes(all[first...])]
            where text.count >= Secret.least {
                coded.insert(text)
                coded.insert(
                    text.map {
                        $0 == UInt8(ascii: "+") ? UInt8(ascii: "-") : $0 == UInt8(ascii: "/") ? UInt8(ascii: "_") : $0
                    })
            }
        }
    }
}
