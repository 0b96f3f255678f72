// Pure. The syntax of network.allow and network.deny.

import AegixSystem

/// `pypi.org`, `*.pythonhosted.org:443`, `10.1.2.3`, `10.1.2.0/24:5432`, `[2001:db8::]/32`, `[::1]:80`.
enum HostPattern {
    static let allowed = "a name, *.name, an address or a range, with an optional port, such as \"pypi.org:443\""

    /// Why a text isn't one; nil when it is.
    static func defect(_ text: String) -> String? {
        if text.utf8.contains(where: { $0 <= 0x20 || $0 >= 0x7F }) { return "holds a character that no host name has" }
        if text.contains("://") { return "is a URL; write the host only" }
        var host = Substring(text)
        var port: Substring?
        if text.hasPrefix("[") {
            guard let close = text.firstIndex(of: "]") else { return "has a `[` without its `]`" }
            host = text[text.index(after: text.startIndex)..<close]
            var rest = text[text.index(after: close)...]
            if rest.hasPrefix("/") {
                let bits = rest.dropFirst().prefix { $0 != ":" }
                if number(bits, 0...128) == nil { return "has a prefix length that isn't 0 to 128" }
                rest = rest.dropFirst(1 + bits.count)
            }
            if rest.hasPrefix(":") { port = rest.dropFirst() } else if !rest.isEmpty { return "goes on after the `]`" }
            if !isIPv6(host) { return "isn't an IPv6 address between the brackets" }
        } else if text.utf8.count(where: { $0 == UInt8(ascii: ":") }) > 1 {
            let parts = text.split(separator: "/", omittingEmptySubsequences: false)
            if !isIPv6(parts[0]) { return "isn't an IPv6 address" }
            if parts.count > 2 || (parts.count == 2 && number(parts[1], 0...128) == nil) {
                return "has a prefix length that isn't 0 to 128"
            }
            return nil
        } else {
            if let colon = text.firstIndex(of: ":") {
                host = text[..<colon]
                port = text[text.index(after: colon)...]
            }
            if let reason = nameOrIPv4(host) { return reason }
        }
        if let port, number(port, 1...65535) == nil { return "has a port that isn't 1 to 65535" }
        return nil
    }

    private static func nameOrIPv4(_ host: Substring) -> String? {
        let slash = host.split(separator: "/", omittingEmptySubsequences: false)
        let labels = slash[0].split(separator: ".", omittingEmptySubsequences: false)
        let numeric = labels.allSatisfy { !$0.isEmpty && $0.utf8.allSatisfy { (0x30...0x39).contains($0) } }
        if numeric || slash.count > 1 {
            // Octal, hexadecimal and short forms mean different hosts to different programs.
            guard labels.count == 4, labels.allSatisfy({ number($0, 0...255) != nil }) else {
                return "isn't an IPv4 address of four decimal numbers"
            }
            if slash.count > 2 || (slash.count == 2 && number(slash[1], 0...32) == nil) {
                return "has a prefix length that isn't 0 to 32"
            }
            return nil
        }
        // Some programs take a last label of digits, hexadecimal too, for an address.
        if let last = labels.last?.utf8, let first = last.first, (0x30...0x39).contains(first),
            last.allSatisfy({ (0x30...0x39).contains($0) }) || last.dropFirst().first == UInt8(ascii: "x")
        {
            return "ends like an address, and isn't one of four decimal numbers"
        }
        if slash[0].utf8.count > 253 { return "is longer than any host name (253 characters)" }
        for (index, label) in labels.enumerated() {
            if index == 0, label == "*", labels.count > 1 { continue }
            if label.contains("*") { return "has a `*` that isn't the whole first label" }
            let valid = label.utf8.allSatisfy {
                isAlphanumeric($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_")
            }
            if label.isEmpty { return "has an empty label" }
            if !valid || label.utf8.count > 63 || label.hasPrefix("-") || label.hasSuffix("-") {
                return "has a label that no host name has"
            }
        }
        return nil
    }

    private static func isIPv6(_ text: Substring) -> Bool {
        let halves = text.split(separator: "::", omittingEmptySubsequences: false)
        if halves.count > 2 { return false }
        var groups = 0
        for (half, part) in halves.enumerated() where !part.isEmpty {
            let fields = part.split(separator: ":", omittingEmptySubsequences: false)
            for (index, field) in fields.enumerated() {
                let last = half == halves.count - 1 && index == fields.count - 1
                if last, field.contains(".") {
                    if nameOrIPv4(field) != nil { return false }
                    groups += 2
                } else {
                    if !(1...4).contains(field.utf8.count) || UInt16(field, radix: 16) == nil || field.hasPrefix("+") {
                        return false
                    }
                    groups += 1
                }
            }
        }
        return halves.count == 2 ? groups < 8 : groups == 8
    }

    private static func number(_ text: Substring, _ range: ClosedRange<Int>) -> Int? {
        guard let value = Int(text), range.contains(value), String(value) == text else { return nil }
        return value
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
    }
}
