// Side effects: reads the clock and the kernel's random numbers.

import CAegix

/// Names a run: 48 bits of milliseconds and 64 random bits in Crockford's base 32, so that names sort by time,
/// are safe in paths and URLs, and can't be guessed.
public struct RunID: Equatable, Hashable, Sendable, CustomStringConvertible {
    public let description: String
    /// In bytes.
    public static let length = 23
    private static let alphabet = Array("0123456789abcdefghjkmnpqrstvwxyz".utf8)

    public static func make() throws(SystemError) -> RunID {
        var random: UInt64 = 0
        let count = aegix_random(&random, MemoryLayout<UInt64>.size)
        if count != MemoryLayout<UInt64>.size { throw SystemError.last("getrandom") }
        return RunID(milliseconds: Clock.realtime() / 1_000_000, random: random)
    }

    init(milliseconds: UInt64, random: UInt64) {
        description = RunID.digits(milliseconds, 10) + RunID.digits(random, 13)
    }

    /// A whole id as it stands in a path; anything else is refused.
    public init?(_ text: String) {
        var text = text
        guard text.withUTF8({ $0.count == RunID.length && $0.allSatisfy(RunID.isDigit) }) else { return nil }
        description = text
    }

    private static func isDigit(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39: true
        case UInt8(ascii: "i"), UInt8(ascii: "l"), UInt8(ascii: "o"), UInt8(ascii: "u"): false
        default: (0x61...0x7A).contains(byte)
        }
    }

    /// When it was made, since 1970.
    public var milliseconds: UInt64 {
        description.utf8.prefix(10).reduce(0) { value, digit in
            value << 5 | UInt64(RunID.alphabet.firstIndex(of: digit) ?? 0)
        }
    }

    private static func digits(_ value: UInt64, _ count: Int) -> String {
        var rest = value
        var out = Bytes(repeating: 0, count: count)
        for index in out.indices.reversed() {
            out[index] = alphabet[Int(rest & 31)]
            rest >>= 5
        }
        return String(decoding: out, as: UTF8.self)
    }
}
