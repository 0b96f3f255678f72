// Pure. The syntax of network.allow and network.deny, and what one entry covers.

import AegixSystem

/// `pypi.org`, `*.pythonhosted.org:443`, `10.1.2.3`, `10.1.2.0/24:5432`, `[2001:db8::]/32`, `[::1]:80`.
public struct HostPattern: Hashable, Sendable {
    public enum Host: Hashable, Sendable {
        /// In lower case.
        case name(String)
        /// Every name that ends so, after at least one more label: `.pythonhosted.org`.
        case suffix(String)
        case range(AddressRange)
    }

    public var host: Host
    /// nil: 80 and 443 where it allows, every port where it denies.
    public var port: UInt16?

    static let allowed = "a name, *.name, an address or a range, with an optional port, such as \"pypi.org:443\""

    /// What is wrong with a text that isn't one.
    public struct Defect: Error { public var reason: String }

    public init(_ text: String) throws(Defect) {
        func fail(_ reason: String) -> Defect { Defect(reason: reason) }
        if text.utf8.contains(where: { $0 >= 0x80 }) {
            throw fail("holds a character that no host name has; write an international name in its xn-- form")
        }
        if text.utf8.contains(where: { $0 <= 0x20 || $0 == 0x7F }) {
            throw fail("holds a character that no host name has")
        }
        if text.contains("://") { throw fail("is a URL; write the host only") }
        var host = Substring(text)
        var port: Substring?
        if text.hasPrefix("[") {
            guard let close = text.firstIndex(of: "]") else { throw fail("has a `[` without its `]`") }
            let address = text[text.index(after: text.startIndex)..<close]
            var rest = text[text.index(after: close)...]
            var bits: Substring = ""
            if rest.hasPrefix("/") {
                bits = rest.prefix { $0 != ":" }
                rest = rest.dropFirst(bits.count)
            }
            if rest.hasPrefix(":") {
                port = rest.dropFirst()
            } else if !rest.isEmpty {
                throw fail("goes on after the `]`")
            }
            if !address.contains(":") { throw fail("isn't an IPv6 address between the brackets") }
            host = address + bits
        } else if text.utf8.count(where: { $0 == UInt8(ascii: ":") }) == 1, let colon = text.firstIndex(of: ":") {
            host = text[..<colon]
            port = text[text.index(after: colon)...]
        }
        self.host = try HostPattern.host(host, inBrackets: text.hasPrefix("["))
        if let port {
            guard let number = UInt16(port), number > 0, String(number) == port else {
                throw fail("has a port that isn't 1 to 65535")
            }
            self.port = number
        }
    }

    private static func host(_ text: Substring, inBrackets: Bool) throws(Defect) -> Host {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        let labels = parts[0].split(separator: ".", omittingEmptySubsequences: false)
        let isNumeric = labels.allSatisfy { !$0.isEmpty && $0.utf8.allSatisfy { (0x30...0x39).contains($0) } }
        guard parts.count > 1 || isNumeric || text.contains(":") else { return try name(labels, text) }
        guard let address = HostAddress(parts[0]) else {
            if text.contains(":") {
                throw Defect(
                    reason: inBrackets ? "isn't an IPv6 address between the brackets" : "isn't an IPv6 address")
            }
            throw Defect(reason: "isn't an IPv4 address of four decimal numbers")
        }
        if address.unmapped != address { throw Defect(reason: "is an IPv4 address in IPv6 form; write it as IPv4") }
        var prefix = address.bits
        if parts.count > 1 {
            guard parts.count == 2, let bits = Int(parts[1]), String(bits) == parts[1],
                (0...address.bits).contains(bits)
            else { throw Defect(reason: "has a prefix length that isn't 0 to \(address.bits)") }
            prefix = bits
        }
        let range = AddressRange(address, prefix: prefix)
        if range.hasHostBits {
            let own = AddressRange(address.cut(to: prefix), prefix: prefix).text
            throw Defect(
                reason:
                    "has address bits beyond its prefix length; write \"\(own)\" for the range, or the address alone")
        }
        return .range(range)
    }

    private static func name(_ labels: [Substring], _ text: Substring) throws(Defect) -> Host {
        func fail(_ reason: String) -> Defect { Defect(reason: reason) }
        if HostName.looksLikeAddress(text) { throw fail("ends like an address, and isn't one of four decimal numbers") }
        if text.utf8.count > 253 { throw fail("is longer than any host name (253 characters)") }
        for (index, label) in labels.enumerated() {
            if index == 0, label == "*", labels.count > 1 { continue }
            if label.contains("*") { throw fail("has a `*` that isn't the whole first label") }
            if label.isEmpty { throw fail("has an empty label") }
            if !HostName.isLabel(label) { throw fail("has a label that no host name has") }
        }
        let lower = text.lowercased()
        return lower.hasPrefix("*.") ? .suffix(String(lower.dropFirst(1))) : .name(lower)
    }

    // MARK: - What it covers

    /// - name: as HostName has it.
    public func covers(name: String) -> Bool {
        switch host {
        case .name(let own): own == name
        case .suffix(let end): name.utf8.count > end.utf8.count && name.hasSuffix(end)
        case .range: false
        }
    }

    public func covers(address: HostAddress) -> Bool {
        if case .range(let range) = host { return range.contains(address) }
        return false
    }

    public func allows(port asked: UInt16) -> Bool { port.map { $0 == asked } ?? (asked == 80 || asked == 443) }

    public func denies(port asked: UInt16) -> Bool { port.map { $0 == asked } ?? true }

    func covers(_ other: Host) -> Bool {
        switch (host, other) {
        case (_, .name(let name)): covers(name: name)
        case (.suffix(let end), .suffix(let other)): other.hasSuffix(end)
        case (.range(let range), .range(let other)): range.contains(other)
        default: false
        }
    }

    /// Both in network.allow.
    func covers(allowed other: HostPattern) -> Bool {
        if !covers(other.host) { return false }
        switch (port, other.port) {
        case (nil, nil): return true
        case (nil, let one?): return one == 80 || one == 443
        case (_?, nil): return false
        case (let own?, let one?): return own == one
        }
    }

    public var text: String {
        let suffix = port.map { ":\($0)" } ?? ""
        switch host {
        case .name(let name): return name + suffix
        case .suffix(let end): return "*" + end + suffix
        case .range(let range) where range.address.isIPv6:
            let bits = range.prefix == 128 ? "" : "/\(range.prefix)"
            return "[\(range.address.text)]\(bits)\(suffix)"
        case .range(let range): return range.text + suffix
        }
    }
}

/// Host names as DNS has them.
public enum HostName {
    /// In lower case and without the last dot; nil for what no host can be called.
    public static func canonical(_ bytes: Bytes) -> String? {
        guard let text = bytes.text?.lowercased() else { return nil }
        let name = text.hasSuffix(".") ? text.dropLast() : Substring(text)
        guard (1...253).contains(name.utf8.count), !looksLikeAddress(name) else { return nil }
        return name.split(separator: ".", omittingEmptySubsequences: false).allSatisfy(isLabel) ? String(name) : nil
    }

    static func isLabel(_ label: Substring) -> Bool {
        (1...63).contains(label.utf8.count) && !label.hasPrefix("-") && !label.hasSuffix("-")
            && label.utf8.allSatisfy { byte in
                (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                    || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
            }
    }

    /// Some programs take a last label of digits, hexadecimal too, for an address.
    public static func looksLikeAddress(_ text: Substring) -> Bool {
        guard let last = text.split(separator: ".").last?.utf8, let first = last.first, (0x30...0x39).contains(first)
        else { return false }
        let second = last.dropFirst().first
        return last.allSatisfy { (0x30...0x39).contains($0) } || second == UInt8(ascii: "x")
            || second == UInt8(ascii: "X")
    }
}

extension HostAddress {
    func cut(to prefix: Int) -> HostAddress {
        var bytes = bytes
        for index in bytes.indices {
            let kept = min(8, max(0, prefix - 8 * index))
            bytes[index] &= ~UInt8(truncatingIfNeeded: 0xFF >> kept)
        }
        return HostAddress(bytes) ?? self
    }
}
