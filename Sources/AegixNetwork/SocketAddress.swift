// Pure but for the kernel's structs. Addresses and ports as sockaddr.

import AegixPolicy
import AegixSystem
import CAegix
import Glibc

public struct SocketAddress: Hashable, Sendable {
    public var address: HostAddress
    public var port: UInt16

    public init(_ address: HostAddress, port: UInt16) {
        self.address = address
        self.port = port
    }

    static func read(_ pointer: UnsafePointer<sockaddr>) -> SocketAddress? {
        let raw = UnsafeRawPointer(pointer)
        switch Int32(pointer.pointee.sa_family) {
        case AF_INET: return read(Bytes(UnsafeRawBufferPointer(start: raw, count: 16)))
        case AF_INET6: return read(Bytes(UnsafeRawBufferPointer(start: raw, count: 28)))
        default: return nil
        }
    }

    /// As a process hands it to connect; nil: another family, or too short.
    public static func read(_ bytes: Bytes) -> SocketAddress? {
        guard bytes.count >= 8 else { return nil }
        let family = Int32(UInt16(bytes[0]) | UInt16(bytes[1]) << 8)
        let port = UInt16(bytes[2]) << 8 | UInt16(bytes[3])
        if family == AF_INET, bytes.count >= 8 { return HostAddress(bytes[4..<8]).map { .init($0, port: port) } }
        if family == AF_INET6, bytes.count >= 24 {
            return HostAddress(bytes[8..<24]).map { .init($0.unmapped, port: port) }
        }
        return nil
    }

    /// One of this host's interfaces has it.
    var isOwn: Bool { with { aegix_is_own_address($0, $1) != 0 } }

    func with<R>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> R) -> R {
        var bytes = Bytes(repeating: 0, count: address.isIPv6 ? 28 : 16)
        bytes[0] = UInt8(address.isIPv6 ? AF_INET6 : AF_INET)
        (bytes[2], bytes[3]) = (UInt8(port >> 8), UInt8(truncatingIfNeeded: port))
        bytes.replaceSubrange((address.isIPv6 ? 8 : 4)..<(address.isIPv6 ? 24 : 8), with: address.bytes)
        return withUnsafeTemporaryAllocation(byteCount: 28, alignment: 8) { room in
            room.copyBytes(from: bytes)
            guard let base = room.baseAddress else { preconditionFailure("28 bytes are never empty") }
            return body(UnsafePointer(base.assumingMemoryBound(to: sockaddr.self)), socklen_t(bytes.count))
        }
    }

    /// From accept, where IPv4 comes in IPv6's form.
    init(_ raw: sockaddr_in6) {
        var copy = raw
        let found = withUnsafeBytes(of: &copy) { SocketAddress.read(Bytes($0)) }
        self = found ?? SocketAddress(HostAddress(v4: 0), port: 0)
    }
}
