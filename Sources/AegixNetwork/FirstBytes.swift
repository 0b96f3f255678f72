// Pure. The names that a client says at the start of a connection: TLS's server name, HTTP's Host. Hostile bytes come in here.

import AegixSystem

/// What the first bytes of a stream tell.
public enum FirstBytes: Equatable, Sendable {
    /// Can't be told yet.
    case more
    /// Neither TLS nor HTTP, or without a name.
    case nameless
    /// All that are said; a server may go by any of them.
    case names([Bytes])
    /// Begins like TLS or HTTP and doesn't keep to it, so nobody knows what the server will read.
    case unclear

    public static let most = 16384 + 512

    public static func read(_ bytes: Bytes) -> FirstBytes {
        guard let first = bytes.first else { return .more }
        let told = first == 0x16 ? ClientHello.read(bytes) : HTTPRequest.read(bytes)
        return told == .more && bytes.count >= most ? .unclear : told
    }
}

/// RFC 8446, 4.1.2, within the records of 5.1.
enum ClientHello {
    static func read(_ bytes: Bytes) -> FirstBytes {
        // Another protocol's first byte may be the same one.
        if bytes.count > 1, bytes[1] != 3 { return .nameless }
        var handshake = Bytes()
        var at = 0
        // The message may lie in several records.
        while true {
            if let length = length(handshake), handshake.count >= length + 4 {
                return hello(Bytes(handshake[4..<4 + length]))
            }
            if at + 5 > bytes.count { return .more }
            if bytes[at] != 0x16 || bytes[at + 1] != 3 { return .unclear }
            let size = Int(bytes[at + 3]) << 8 | Int(bytes[at + 4])
            if size == 0 || size > 16384 + 256 { return .unclear }
            let end = min(at + 5 + size, bytes.count)
            handshake += bytes[at + 5..<end]
            if let first = handshake.first, first != 1 { return .unclear }
            if end < at + 5 + size {
                if let length = length(handshake), handshake.count >= length + 4 { continue }
                return .more
            }
            at = end
        }
    }

    private static func length(_ handshake: Bytes) -> Int? {
        handshake.count < 4 ? nil : Int(handshake[1]) << 16 | Int(handshake[2]) << 8 | Int(handshake[3])
    }

    private static func hello(_ body: Bytes) -> FirstBytes {
        var reader = Reader(bytes: body[...])
        guard reader.skip(34), reader.take(lengthBytes: 1) != nil, reader.take(lengthBytes: 2) != nil,
            reader.take(lengthBytes: 1) != nil
        else { return .unclear }
        if reader.bytes.isEmpty { return .nameless }
        guard let block = reader.take(lengthBytes: 2) else { return .unclear }
        var extensions = Reader(bytes: block)
        var names: [Bytes] = []
        while !extensions.bytes.isEmpty {
            guard let type = extensions.number(2), let data = extensions.take(lengthBytes: 2) else { return .unclear }
            if type != 0 { continue }
            var list = Reader(bytes: data)
            guard let entries = list.take(lengthBytes: 2) else { return .unclear }
            var each = Reader(bytes: entries)
            while !each.bytes.isEmpty {
                guard let kind = each.number(1), let name = each.take(lengthBytes: 2) else { return .unclear }
                if kind == 0 { names.append(Bytes(name)) }
            }
        }
        return names.isEmpty ? .nameless : .names(names)
    }

    private struct Reader {
        var bytes: ArraySlice<UInt8>

        mutating func skip(_ count: Int) -> Bool {
            if bytes.count < count { return false }
            bytes = bytes.dropFirst(count)
            return true
        }

        mutating func number(_ count: Int) -> Int? {
            if bytes.count < count { return nil }
            let value = bytes.prefix(count).reduce(0) { $0 << 8 | Int($1) }
            bytes = bytes.dropFirst(count)
            return value
        }

        mutating func take(lengthBytes: Int) -> ArraySlice<UInt8>? {
            guard let count = number(lengthBytes), bytes.count >= count else { return nil }
            defer { bytes = bytes.dropFirst(count) }
            return bytes.prefix(count)
        }
    }
}

/// RFC 9112: a request line and headers. Only the first request of a connection is read.
enum HTTPRequest {
    private static let newline = UInt8(ascii: "\n")
    private static let space = UInt8(ascii: " ")

    static func read(_ bytes: Bytes) -> FirstBytes {
        // Servers forgive empty lines before the request.
        let text = bytes.drop { $0 == 0x0D || $0 == newline }
        guard let end = text.firstIndex(of: newline) else { return begins(text) ? .more : .nameless }
        let words = text[..<end].split { $0 == space || $0 == 0x0D || $0 == 0x09 }
        guard begins(text), let last = words.last, words.count >= 2, last.starts(with: "HTTP/".utf8) else {
            return .nameless
        }
        // HTTP/2 without TLS says its names packed.
        if last.starts(with: "HTTP/2".utf8) { return .nameless }
        var names: [Bytes] = []
        if let target = authority(words[1], isConnect: words[0].elementsEqual("CONNECT".utf8)) { names.append(target) }
        var start = text.index(after: end)
        while true {
            guard let stop = text[start...].firstIndex(of: newline) else { return .more }
            let line = text[start..<stop].filter { $0 != 0x0D }
            if line.isEmpty { return names.isEmpty ? .nameless : .names(names) }
            if let colon = line.firstIndex(of: UInt8(ascii: ":")) {
                let key = trimmed(line[..<colon]).map { $0 | 0x20 }
                if key.elementsEqual("host".utf8) { names.append(host(trimmed(line[(colon + 1)...]))) }
            }
            start = text.index(after: stop)
        }
    }

    /// A method, and what can follow one.
    private static func begins(_ text: ArraySlice<UInt8>) -> Bool {
        let method = text.prefix { $0 != space && $0 != 0x09 }
        let isToken = method.allSatisfy { (0x41...0x5A).contains($0 & 0xDF) || $0 == 0x2D || $0 == 0x5F }
        if !isToken || method.count > 32 || text.first == space { return false }
        guard let first = text.dropFirst(method.count).drop(while: { $0 == space || $0 == 0x09 }).first else {
            return true
        }
        return first > 0x20 && first < 0x7F
    }

    /// `http://host:port/…`, or CONNECT's `host:port`.
    private static func authority(_ target: ArraySlice<UInt8>, isConnect: Bool) -> Bytes? {
        if isConnect { return host(Bytes(target)) }
        guard let colon = target.firstIndex(of: UInt8(ascii: ":")), target[colon...].starts(with: "://".utf8),
            target.first != UInt8(ascii: "/")
        else { return nil }
        let rest = target[(colon + 3)...].prefix { ![0x2F, 0x3F, 0x23].contains($0) }
        let at = rest.lastIndex(of: UInt8(ascii: "@")).map { rest.index(after: $0) } ?? rest.startIndex
        return host(Bytes(rest[at...]))
    }

    private static func host(_ text: Bytes) -> Bytes {
        if text.first == UInt8(ascii: "["), let end = text.firstIndex(of: UInt8(ascii: "]")) {
            return Bytes(text[1..<end])
        }
        return Bytes(text.prefix { $0 != UInt8(ascii: ":") })
    }

    private static func trimmed(_ text: ArraySlice<UInt8>) -> Bytes {
        Bytes(text.drop { $0 <= space }.reversed().drop { $0 <= space }.reversed())
    }
}
