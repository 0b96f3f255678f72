// Pure. The only place that knows how RFC 8785 writes a string, a number and an order: whatever writes JSON asks here.

enum CanonicalJSON {
    /// Beyond these a double skips integers, and readers that take numbers for doubles would see another.
    static let integers = -9_007_199_254_740_991...9_007_199_254_740_991

    // MARK: - Strings

    /// Whole stretches that need no escape are copied at once.
    static func quote(_ text: UnsafeBufferPointer<UInt8>, into out: inout Bytes) {
        out.append(UInt8(ascii: "\""))
        var start = 0
        for index in 0..<text.count {
            let byte = text[index]
            if byte >= 0x20, byte != 0x22, byte != 0x5C { continue }
            out.append(contentsOf: UnsafeBufferPointer(rebasing: text[start..<index]))
            escape(byte, into: &out)
            start = index + 1
        }
        out.append(contentsOf: UnsafeBufferPointer(rebasing: text[start...]))
        out.append(UInt8(ascii: "\""))
    }

    private static func escape(_ byte: UInt8, into out: inout Bytes) {
        out.append(UInt8(ascii: "\\"))
        switch byte {
        case 0x22, 0x5C: out.append(byte)
        case 0x08: out.append(UInt8(ascii: "b"))
        case 0x09: out.append(UInt8(ascii: "t"))
        case 0x0A: out.append(UInt8(ascii: "n"))
        case 0x0C: out.append(UInt8(ascii: "f"))
        case 0x0D: out.append(UInt8(ascii: "r"))
        default:
            out.append(contentsOf: "u00".utf8)
            out.append(UInt8(ascii: "0") + byte >> 4)
            let low = byte & 15
            out.append(low < 10 ? UInt8(ascii: "0") + low : UInt8(ascii: "a") + low - 10)
        }
    }

    /// UTF-8 order is UTF-16 order but for surrogate pairs, so ASCII names, all of ours, take the fast way.
    static func precedes(_ a: String, _ b: String) -> Bool {
        var (first, second) = (a, b)
        let inASCII: Bool? = first.withUTF8 { a in
            second.withUTF8 { b in
                if !a.allSatisfy({ $0 < 0x80 }) || !b.allSatisfy({ $0 < 0x80 }) { return nil }
                return a.lexicographicallyPrecedes(b)
            }
        }
        if let inASCII { return inASCII }
        return a.utf16.lexicographicallyPrecedes(b.utf16)
    }

    // MARK: - Numbers

    /// A number that a double can't hold for certain becomes a string, as `JSON.big` has it: nothing of ours is rounded
    /// by its reader.
    static func number(_ number: Int, into out: inout Bytes) {
        let isSafe = integers.contains(number)
        if !isSafe { out.append(UInt8(ascii: "\"")) }
        if number < 0 { out.append(UInt8(ascii: "-")) }
        out.append(decimal: UInt64(number.magnitude))
        if !isSafe { out.append(UInt8(ascii: "\"")) }
    }

    /// As ECMAScript's Number::toString, which RFC 8785 asks for. Swift's `description` has the same digits (the shortest
    /// that read back as the number, of those the nearest), so only the point and the exponent are placed anew.
    static func number(_ number: Double, into out: inout Bytes) {
        precondition(number.isFinite, "JSON has no such number")
        if number == 0 {
            out.append(UInt8(ascii: "0"))
            return
        }
        if number < 0 { out.append(UInt8(ascii: "-")) }
        let (digits, point) = decimal(number.magnitude)
        let zero = UInt8(ascii: "0")
        switch point {
        case digits.count...21:
            out += digits
            out.append(contentsOf: repeatElement(zero, count: point - digits.count))
        case 1..<digits.count where point <= 21:
            out += digits[..<point] + [UInt8(ascii: ".")] + digits[point...]
        case -5...0:
            out += "0.".utf8
            out.append(contentsOf: repeatElement(zero, count: -point))
            out += digits
        default:
            out.append(digits[0])
            if digits.count > 1 { out += [UInt8(ascii: ".")] + digits[1...] }
            out += (point > 0 ? "e+" : "e-").utf8
            out.append(decimal: UInt64((point - 1).magnitude))
        }
    }

    /// The digits d₁d₂… without zeros at either end, and where the point stands: 0.d₁d₂… × 10^point.
    private static func decimal(_ number: Double) -> (digits: Bytes, point: Int) {
        var digits = Bytes()
        var point: Int?
        var exponent = 0
        let text = Bytes(number.description.utf8)
        for (index, byte) in text.enumerated() {
            switch byte {
            case 0x30...0x39: digits.append(byte)
            case UInt8(ascii: "."): point = digits.count
            default:
                exponent = Int(String(decoding: text[(index + 1)...], as: UTF8.self)) ?? 0
                return trimmed(digits, (point ?? digits.count) + exponent)
            }
        }
        return trimmed(digits, point ?? digits.count)
    }

    private static func trimmed(_ digits: Bytes, _ point: Int) -> (Bytes, Int) {
        let zero = UInt8(ascii: "0")
        let leading = digits.prefix { $0 == zero }.count
        var kept = Bytes(digits[leading...])
        while kept.last == zero { kept.removeLast() }
        return (kept, point - leading)
    }
}
