// Pure. As much of D-Bus as one call to systemd takes: little-endian, and only the types in it.

import Glibc

/// Writes values with the alignment that their types have. No Debian library for D-Bus has a static archive.
public struct BusWriter {
    public private(set) var bytes = Bytes()

    public init() {}

    public mutating func align(_ boundary: Int) {
        while bytes.count % boundary != 0 { bytes.append(0) }
    }

    public mutating func byte(_ value: UInt8) { bytes.append(value) }

    public mutating func number(_ value: UInt32) {
        align(4)
        for shift in [0, 8, 16, 24] as [UInt32] { bytes.append(UInt8(truncatingIfNeeded: value >> shift)) }
    }

    /// `s` and `o`.
    public mutating func string(_ text: Bytes) {
        number(UInt32(text.count))
        bytes += text
        bytes.append(0)
    }

    /// `g`, and the type of a variant.
    public mutating func signature(_ text: String) {
        bytes.append(UInt8(text.utf8.count))
        bytes += Bytes(text)
        bytes.append(0)
    }

    /// The length is that of the elements, without the padding before the first.
    public mutating func array(alignment: Int, _ elements: (inout BusWriter) -> Void) {
        number(0)
        let length = bytes.count - 4
        align(alignment)
        let start = bytes.count
        elements(&self)
        let size = UInt32(bytes.count - start)
        for index in 0..<4 { bytes[length + index] = UInt8(truncatingIfNeeded: size >> UInt32(8 * index)) }
    }

    /// A method call, whole.
    public static func call(
        _ member: String, on path: String, interface: String, destination: String, signature: String, body: BusWriter
    ) -> Bytes {
        var message = BusWriter()
        message.bytes = [UInt8(ascii: "l"), 1, 0, 1]
        message.number(UInt32(body.bytes.count))
        message.number(1)
        message.array(alignment: 8) { fields in
            for (code, type, text) in [(1, "o", path), (2, "s", interface), (3, "s", member), (6, "s", destination)] {
                fields.align(8)
                fields.byte(UInt8(code))
                fields.signature(type)
                fields.string(Bytes(text))
            }
            fields.align(8)
            fields.byte(8)
            fields.signature("g")
            fields.signature(signature)
        }
        message.align(8)
        return message.bytes + body.bytes
    }
}

/// A message that came in. Every length in it is the other side's word.
public struct BusMessage: Equatable, Sendable {
    public enum Kind: UInt8, Sendable {
        case call = 1
        case reply = 2
        case error = 3
        case signal = 4
    }

    public var kind: Kind
    public var member: Bytes = []
    public var errorName: Bytes = []
    /// Those of the body that stand before anything else than strings and numbers.
    public var strings: [Bytes] = []

    public static let largest = 1 << 20
    private static let headerSize = 16

    /// The first message of the stream and how long it is; nil while it isn't all there.
    public static func first(in stream: Bytes) throws(SystemError) -> (message: BusMessage, length: Int)? {
        guard stream.count >= headerSize else { return nil }
        var reader = BusReader(stream[...])
        guard stream[0] == UInt8(ascii: "l"), stream[3] == 1, let kind = Kind(rawValue: stream[1]) else {
            throw malformed
        }
        reader.position = 4
        let body = Int(try reader.number())
        _ = try reader.number()
        let fields = Int(try reader.number())
        guard body <= largest, fields <= largest else { throw malformed }
        let start = (headerSize + fields + 7) & ~7
        guard stream.count >= start + body else { return nil }
        var message = BusMessage(kind: kind)
        var types = Bytes()
        while reader.position < headerSize + fields {
            reader.align(8)
            let code = try reader.byte()
            let type = try reader.signature()
            switch (code, type) {
            case (_, Bytes("u")): _ = try reader.number()
            case (3, Bytes("s")): message.member = try reader.string()
            case (4, Bytes("s")): message.errorName = try reader.string()
            case (8, Bytes("g")): types = try reader.signature()
            case (_, Bytes("s")), (_, Bytes("o")): _ = try reader.string()
            case (_, Bytes("g")): _ = try reader.signature()
            default: throw malformed
            }
        }
        var content = BusReader(stream[start..<(start + body)])
        values: for type in types {
            switch type {
            case UInt8(ascii: "s"), UInt8(ascii: "o"): message.strings.append(try content.string())
            case UInt8(ascii: "u"): _ = try content.number()
            default: break values
            }
        }
        return (message, start + body)
    }

    public static let malformed = SystemError("read", Bytes("D-Bus message"), errno: EBADMSG)
}

private struct BusReader {
    private let bytes: ArraySlice<UInt8>
    /// From the start of the slice, which is aligned.
    var position = 0

    init(_ bytes: ArraySlice<UInt8>) { self.bytes = bytes }

    mutating func align(_ boundary: Int) { position = (position + boundary - 1) / boundary * boundary }

    mutating func byte() throws(SystemError) -> UInt8 {
        guard position < bytes.count else { throw BusMessage.malformed }
        position += 1
        return bytes[bytes.startIndex + position - 1]
    }

    mutating func number() throws(SystemError) -> UInt32 {
        align(4)
        var value: UInt32 = 0
        for shift in [0, 8, 16, 24] as [UInt32] { value |= UInt32(try byte()) << shift }
        return value
    }

    mutating func string() throws(SystemError) -> Bytes { try text(Int(try number())) }

    mutating func signature() throws(SystemError) -> Bytes { try text(Int(try byte())) }

    private mutating func text(_ count: Int) throws(SystemError) -> Bytes {
        guard count < bytes.count - position else { throw BusMessage.malformed }
        let start = bytes.startIndex + position
        position += count + 1
        return Bytes(bytes[start..<(start + count)])
    }
}
