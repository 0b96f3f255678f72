// Pure data. Addresses that are closed unless a rule names them as addresses (SECURITY.md, rule 21).

import AegixSystem

public enum AddressClass {
    static let closed: [(range: AddressRange, name: String)] = [
        ("0.0.0.0/8", "this host"), ("10.0.0.0/8", "private"), ("100.64.0.0/10", "shared"),
        ("127.0.0.0/8", "loopback"), ("169.254.0.0/16", "link-local and metadata"), ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "protocol assignments"), ("192.168.0.0/16", "private"), ("198.18.0.0/15", "benchmarks"),
        ("224.0.0.0/4", "multicast"), ("240.0.0.0/4", "reserved"),
        ("::/96", "unspecified, loopback and IPv4-compatible"), ("::ffff:0:0/96", "IPv4-mapped"),
        ("64:ff9b::/96", "NAT64"), ("64:ff9b:1::/48", "NAT64"), ("2001::/32", "Teredo"), ("2002::/16", "6to4"),
        ("fc00::/7", "private"), ("fe80::/10", "link-local"), ("fec0::/10", "site-local"), ("ff00::/8", "multicast"),
    ].map { (AddressRange(literal: $0.0), $0.1) }

    /// `private`, `loopback`, …; nil: open.
    public static func name(of address: HostAddress) -> String? {
        closed.first { $0.range.contains(address) }?.name
    }

    static func isTouched(by range: AddressRange) -> Bool { closed.contains { $0.range.overlaps(range) } }
}

/// `192.0.2.53`, `192.0.2.53:5353`, `[2001:db8::53]:53`.
public struct ResolverAddress: Equatable, Sendable {
    public var address: HostAddress
    public var port: UInt16

    public init?(_ text: String) {
        do throws(HostPattern.Defect) {
            let pattern = try HostPattern(text)
            guard case .range(let range) = pattern.host, range.prefix == range.address.bits else { return nil }
            (address, port) = (range.address, pattern.port ?? 53)
        } catch {
            return nil
        }
    }
}
