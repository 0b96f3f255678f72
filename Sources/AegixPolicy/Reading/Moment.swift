// Pure. A host's name and a moment, as [determinism] has them.

import AegixSystem

/// A name that the kernel takes and every resolver can read.
enum Hostname {
    static let allowed = "1 to 63 letters, digits, hyphens and dots, a letter or digit first and last"
    static let pattern = "^([A-Za-z0-9]([A-Za-z0-9.-]{0,61}[A-Za-z0-9])?)?$"

    static func isValid(_ text: String) -> Bool {
        func isAlphanumeric(_ byte: UInt8) -> Bool {
            (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
        }
        guard let first = text.utf8.first, let last = text.utf8.last, text.utf8.count <= 63 else { return false }
        return isAlphanumeric(first) && isAlphanumeric(last)
            && text.utf8.allSatisfy { isAlphanumeric($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: ".") }
    }
}

/// RFC 3339 in UTC.
public enum Instant {
    static let allowed = "a moment in UTC, such as \"2035-01-01T00:00:00Z\""
    static let pattern = "^([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,9})?Z)?$"

    /// Nanoseconds since 1970; nil: it isn't one.
    public static func parse(_ text: String) -> UInt64? {
        let bytes = Array(text.utf8)
        guard bytes.count >= 20, bytes[10] == UInt8(ascii: "T"), bytes[bytes.count - 1] == UInt8(ascii: "Z") else {
            return nil
        }
        return Timestamp.parse(text)
    }
}
