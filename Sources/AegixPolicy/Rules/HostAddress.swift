// Pure. Addresses and ranges: one spelling each, no resolver's leniency.

import AegixSystem

/// An IPv4 or IPv6 address.
public struct HostAddress: Hashable, Sendable {
    /// An IPv4 address is the last 32 bits of `low`.
    public var high: UInt64
    public var low: UInt64
    public var isIPv6: Bool

    public init(v4: UInt32) { (high, low, isIPv6) = (0, UInt64(v4), false) }

    public init(high: UInt64, low: UInt64) { (self.high, self.low, isIPv6) = (high, low, true) }

    /// Four bytes or sixteen, in network order.
    public init?(_ bytes: some Collection<UInt8>) {
        switch bytes.count {
        case 4: self.init(v4: bytes.reduce(0) { $0 << 8 | UInt32($1) })
        case 16:
            self.init(
                high: bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) },
                low: bytes.suffix(8).reduce(0) { $0 << 8 | UInt64($1) })
        default: return nil
        }
    }

    public var bytes: Bytes {
        func split(_ number: UInt64, _ count: Int) -> Bytes {
            (0..<count).map { UInt8(truncatingIfNeeded: number >> UInt64(8 * (count - 1 - $0))) }
        }
        return isIPv6 ? split(high, 8) + split(low, 8) : split(low, 4)
    }

    public var bits: Int { isIPv6 ? 128 : 32 }

    /// ::ffff:a.b.c.d is a.b.c.d, whichever way a program asks for it.
    public var unmapped: HostAddress {
        guard isIPv6, high == 0, low >> 32 == 0xffff else { return self }
        return HostAddress(v4: UInt32(truncatingIfNeeded: low))
    }

    /// Four decimal numbers, or RFC 4291: octal, hexadecimal and short forms mean different hosts to different programs.
    public init?(_ text: Substring) {
        if text.contains(":") {
            guard let address = HostAddress.parseIPv6(text) else { return nil }
            self = address
        } else {
            guard let number = HostAddress.parseIPv4(text) else { return nil }
            self.init(v4: number)
        }
    }

    private static func parseIPv4(_ text: Substring) -> UInt32? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var all: UInt32 = 0
        for part in parts {
            guard let value = UInt8(part), String(value) == part else { return nil }
            all = all << 8 | UInt32(value)
        }
        return all
    }

    private static func parseIPv6(_ text: Substring) -> HostAddress? {
        let halves = text.split(separator: "::", omittingEmptySubsequences: false)
        if halves.count > 2 { return nil }
        var groups: [[UInt16]] = []
        for (half, part) in halves.enumerated() {
            var found: [UInt16] = []
            let fields = part.isEmpty ? [] : part.split(separator: ":", omittingEmptySubsequences: false)
            for (index, field) in fields.enumerated() {
                if half == halves.count - 1, index == fields.count - 1, field.contains(".") {
                    guard let last = parseIPv4(field) else { return nil }
                    found += [UInt16(last >> 16), UInt16(truncatingIfNeeded: last)]
                } else {
                    let digits = field.utf8.allSatisfy(isHexadecimal)
                    guard digits, (1...4).contains(field.utf8.count), let group = UInt16(field, radix: 16) else {
                        return nil
                    }
                    found.append(group)
                }
            }
            groups.append(found)
        }
        let count = groups.reduce(0) { $0 + $1.count }
        if halves.count == 2 ? count > 7 : count != 8 { return nil }
        if halves.count == 2 { groups.insert([UInt16](repeating: 0, count: 8 - count), at: 1) }
        let all = groups.flatMap { $0 }
        func joined(_ part: ArraySlice<UInt16>) -> UInt64 { part.reduce(0) { $0 << 16 | UInt64($1) } }
        return HostAddress(high: joined(all[..<4]), low: joined(all[4...]))
    }

    private static func isHexadecimal(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x41...0x46).contains(byte) || (0x61...0x66).contains(byte)
    }

    /// `10.1.2.3`, `2001:db8::1` as RFC 5952 has it.
    public var text: String {
        if !isIPv6 { return bytes.map { String($0) }.joined(separator: ".") }
        let groups = (0..<8).map { index in
            UInt16(truncatingIfNeeded: (index < 4 ? high : low) >> UInt64(16 * (3 - index % 4)))
        }
        var best = 0..<0
        var start = 0
        for end in 0...8 where end == 8 || groups[end] != 0 {
            if end - start > max(1, best.count) { best = start..<end }
            start = end + 1
        }
        func written(_ part: some Sequence<UInt16>) -> String {
            part.map { String($0, radix: 16) }.joined(separator: ":")
        }
        if best.isEmpty { return written(groups) }
        return written(groups[..<best.lowerBound]) + "::" + written(groups[best.upperBound...])
    }
}

/// Addresses with a common beginning.
public struct AddressRange: Hashable, Sendable {
    public var address: HostAddress
    /// How many bits are fixed.
    public var prefix: Int

    public init(_ address: HostAddress, prefix: Int) {
        self.address = address
        self.prefix = prefix
    }

    /// For tables of ours: `10.0.0.0/8`. A mistake in it is one in the program.
    public init(literal: String) {
        let parts = literal.split(separator: "/")
        guard parts.count == 2, let address = HostAddress(parts[0]), let prefix = Int(parts[1]) else {
            preconditionFailure("\(literal) isn't a range")
        }
        self.init(address, prefix: prefix)
    }

    public func contains(_ other: HostAddress) -> Bool {
        guard other.isIPv6 == address.isIPv6 else { return false }
        let (high, low) = mask
        return (address.high ^ other.high) & high == 0 && (address.low ^ other.low) & low == 0
    }

    public func contains(_ other: AddressRange) -> Bool { prefix <= other.prefix && contains(other.address) }

    public func overlaps(_ other: AddressRange) -> Bool { contains(other) || other.contains(self) }

    /// Bits of the address beyond the prefix: whoever wrote them meant something else.
    var hasHostBits: Bool {
        let (high, low) = mask
        return address.high & ~high != 0 || address.low & ~low & (address.isIPv6 ? .max : 0xffff_ffff) != 0
    }

    private var mask: (high: UInt64, low: UInt64) {
        let fixed = address.isIPv6 ? prefix : prefix + 96
        func ones(_ count: Int) -> UInt64 { count <= 0 ? 0 : count >= 64 ? .max : ~(.max >> UInt64(count)) }
        return (address.isIPv6 ? ones(fixed) : .max, ones(fixed - 64))
    }

    public var text: String { prefix == address.bits ? address.text : "\(address.text)/\(prefix)" }
}
