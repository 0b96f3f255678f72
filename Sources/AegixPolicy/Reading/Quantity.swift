// Pure. Durations and sizes as people write them, and back.

/// A length of time in nanoseconds: `500ms`, `90s`, `1.5m`, `1h`, `2d`; `none` and zero are no limit.
public enum TimeSpan {
    private static let units: [(name: String, nanoseconds: UInt64)] = [
        ("ms", 1_000_000), ("s", 1_000_000_000), ("m", 60_000_000_000), ("h", 3_600_000_000_000),
        ("d", 86_400_000_000_000),
    ]
    /// What an error says is allowed.
    public static let allowed = "a number with ms, s, m, h or d, such as \"90s\""
    /// 100 years fit into the arithmetic of deadlines; more is a typing error.
    static let longest: UInt64 = 100 * 365 * 86_400_000_000_000

    /// Nil when the text isn't one.
    public static func parse(_ text: String) -> UInt64? {
        if text == "0" { return 0 }
        guard let value = Quantity.parse(text, units: units.map { ($0.name, $0.nanoseconds) }) else { return nil }
        return value <= longest ? value : nil
    }

    /// The largest unit that keeps it whole.
    public static func text(_ nanoseconds: UInt64) -> String {
        if nanoseconds == 0 { return "0s" }
        for unit in units.reversed() where nanoseconds % unit.nanoseconds == 0 {
            return "\(nanoseconds / unit.nanoseconds)\(unit.name)"
        }
        let digits = String(nanoseconds % 1_000_000)
        let fraction = String(repeating: "0", count: 6 - digits.count) + digits
        return "\(nanoseconds / 1_000_000).\(fraction)ms"
    }
}

/// A number of bytes: `512MiB`, `10MB`, `4096`.
public enum ByteSize {
    private static let units: [(name: String, bytes: UInt64)] = [
        ("B", 1), ("KB", 1000), ("MB", 1_000_000), ("GB", 1_000_000_000), ("TB", 1_000_000_000_000),
        ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40),
    ]
    public static let allowed =
        "a whole number of bytes, or a number with KiB, MiB, GiB, TiB, KB, MB, GB or TB, such as \"512MiB\""

    public static func parse(_ text: String) -> UInt64? {
        if let plain = UInt64(text), text.utf8.first != UInt8(ascii: "+") {
            return plain <= UInt64(Int.max) ? plain : nil
        }
        return Quantity.parse(text, units: units.map { ($0.name, $0.bytes) })
    }

    public static func text(_ bytes: UInt64) -> String {
        for unit in units.reversed() where bytes != 0 && bytes % unit.bytes == 0 && unit.bytes > 1 {
            return "\(bytes / unit.bytes)\(unit.name)"
        }
        return "\(bytes)B"
    }
}

/// A number of processors with up to three digits of fraction, kept as thousandths: `2`, `1.5`, `0.25`.
public enum Processors {
    public static let allowed = "a number of processors from 0.01 to 4096, such as 1.5"
    static let most: UInt64 = 4_096_000

    public static func parse(_ text: String) -> UInt64? {
        if text == "0" { return 0 }
        guard let value = Quantity.parse(text, units: [("", 1000)]) else { return nil }
        return (10...most).contains(value) ? value : nil
    }

    public static func text(_ thousandths: UInt64) -> String {
        let (whole, rest) = (thousandths / 1000, thousandths % 1000)
        if rest == 0 { return String(whole) }
        var digits = String(1000 + rest).dropFirst()
        while digits.last == "0" { digits.removeLast() }
        return "\(whole).\(digits)"
    }
}

/// What both have in common: digits, perhaps a fraction of up to nine digits, and a unit; whole after multiplication.
private enum Quantity {
    static func parse(_ text: String, units: [(String, UInt64)]) -> UInt64? {
        let digits = text.utf8.prefix { (0x30...0x39).contains($0) }
        var rest = text.utf8.dropFirst(digits.count)
        var fraction = rest.prefix(0)
        if rest.first == UInt8(ascii: ".") {
            fraction = rest.dropFirst().prefix { (0x30...0x39).contains($0) }
            if fraction.isEmpty || fraction.count > 9 { return nil }
            rest = rest.dropFirst(1 + fraction.count)
        }
        guard let whole = UInt64(String(Substring(digits))),
            let unit = units.first(where: { $0.0.utf8.elementsEqual(rest) })
        else { return nil }
        var (total, overflow) = whole.multipliedReportingOverflow(by: unit.1)
        if overflow { return nil }
        if !fraction.isEmpty, let part = UInt64(String(Substring(fraction))) {
            let scale = (0..<fraction.count).reduce(UInt64(1)) { scale, _ in scale * 10 }
            let (scaled, tooMuch) = part.multipliedReportingOverflow(by: unit.1)
            if tooMuch || scaled % scale != 0 { return nil }
            (total, overflow) = total.addingReportingOverflow(scaled / scale)
            if overflow { return nil }
        }
        return total <= UInt64(Int.max) ? total : nil
    }
}
