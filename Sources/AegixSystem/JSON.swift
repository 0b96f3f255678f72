// Pure. A JSON value and its canonical form (RFC 8785), without Foundation: this is on the way of every run.

/// A JSON value. Integers that may pass 2^53 (nanoseconds, inodes) are carried as strings: `JSON.big`. Two names that are
/// one text to Unicode (é as one scalar, or as two) are one member: a document with both can't be read.
public indirect enum JSON: Equatable, Sendable {
    case null
    case bool(Bool)
    case int(Int)
    case double(Double)
    case string(String)
    case array([JSON])
    case object([String: JSON])

    /// A number that a double can't hold exactly, as a string.
    public static func big<N: BinaryInteger>(_ number: N) -> JSON { .string(String(number)) }

    /// Bytes as a string where they are UTF-8, else `{"base64": …}`.
    public static func bytes(_ bytes: Bytes) -> JSON {
        if let text = bytes.text { return .string(text) }
        return .object(["base64": .string(Base64.encode(bytes))])
    }

    public subscript(key: String) -> JSON? {
        if case .object(let members) = self { return members[key] }
        return nil
    }

    public var string: String? { if case .string(let text) = self { text } else { nil } }
    public var int: Int? { if case .int(let number) = self { number } else { nil } }
    public var bool: Bool? { if case .bool(let flag) = self { flag } else { nil } }
    public var array: [JSON]? { if case .array(let items) = self { items } else { nil } }
    public var object: [String: JSON]? { if case .object(let members) = self { members } else { nil } }

    /// What `JSON.bytes` wrote, back as bytes.
    public var bytesValue: Bytes? {
        if let text = string { return Bytes(text) }
        return self["base64"]?.string.flatMap { Base64.decode($0) }
    }
}

extension JSON: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral, ExpressibleByNilLiteral
{
    public init(stringLiteral value: String) { self = .string(value) }
    public init(integerLiteral value: Int) { self = .int(value) }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(arrayLiteral elements: JSON...) { self = .array(elements) }
    public init(nilLiteral: ()) { self = .null }
    public init(dictionaryLiteral elements: (String, JSON)...) {
        self = .object(Dictionary(elements, uniquingKeysWith: { $1 }))
    }
}

// MARK: - Writing

extension JSON {
    /// RFC 8785: members sorted by UTF-16 code units, no white space, shortest numbers. Of NaN and the infinities there
    /// is no form; no reader makes them.
    public var canonical: Bytes {
        var out = Bytes()
        out.reserveCapacity(4096)
        write(into: &out, indent: nil, depth: 0)
        return out
    }

    /// For a person: two spaces a level, members in the same order.
    public var pretty: Bytes {
        var out = Bytes()
        write(into: &out, indent: 2, depth: 0)
        out.append(UInt8(ascii: "\n"))
        return out
    }

    private func write(into out: inout Bytes, indent: Int?, depth: Int) {
        switch self {
        case .null: out += "null".utf8
        case .bool(let flag): out += (flag ? "true" : "false").utf8
        case .int(let number): CanonicalJSON.number(number, into: &out)
        case .double(let number): CanonicalJSON.number(number, into: &out)
        case .string(let text): JSON.quote(text, into: &out)
        case .array(let items):
            JSON.list(items, open: "[", close: "]", into: &out, indent: indent, depth: depth) { item, out in
                item.write(into: &out, indent: indent, depth: depth + 1)
            }
        case .object(let members):
            let sorted = members.sorted { CanonicalJSON.precedes($0.key, $1.key) }
            JSON.list(sorted, open: "{", close: "}", into: &out, indent: indent, depth: depth) { member, out in
                JSON.quote(member.key, into: &out)
                out += (indent == nil ? ":" : ": ").utf8
                member.value.write(into: &out, indent: indent, depth: depth + 1)
            }
        }
    }

    private static func list<T>(
        _ items: [T], open: Unicode.Scalar, close: Unicode.Scalar, into out: inout Bytes, indent: Int?, depth: Int,
        each: (T, inout Bytes) -> Void
    ) {
        out.append(UInt8(ascii: open))
        for (index, item) in items.enumerated() {
            if index > 0 { out.append(UInt8(ascii: ",")) }
            newline(into: &out, indent: indent, depth: depth + 1)
            each(item, &out)
        }
        if !items.isEmpty { newline(into: &out, indent: indent, depth: depth) }
        out.append(UInt8(ascii: close))
    }

    private static func newline(into out: inout Bytes, indent: Int?, depth: Int) {
        guard let indent else { return }
        out.append(UInt8(ascii: "\n"))
        out.append(contentsOf: repeatElement(UInt8(ascii: " "), count: indent * depth))
    }

    /// As a string of canonical JSON.
    public static func quote(_ text: String, into out: inout Bytes) {
        var text = text
        text.withUTF8 { CanonicalJSON.quote($0, into: &out) }
    }
}
