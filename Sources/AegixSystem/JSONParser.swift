// Pure. Reads JSON that may come from anywhere: bounded in depth, strict, no duplicate members.

public struct JSONError: Error, Equatable, CustomStringConvertible {
    public let offset: Int
    public let message: String
    public var description: String { "at byte \(offset): \(message)" }
}

extension JSON {
    public static func parse(_ bytes: Bytes, maxDepth: Int = 64) throws(JSONError) -> JSON {
        var parser = JSONParser(bytes: bytes, maxDepth: maxDepth)
        let value = try parser.value(depth: 0)
        parser.space()
        if parser.at < bytes.count { throw parser.error("text after the document") }
        return value
    }
}

private struct JSONParser {
    let bytes: Bytes
    let maxDepth: Int
    var at = 0

    init(bytes: Bytes, maxDepth: Int) {
        self.bytes = bytes
        self.maxDepth = maxDepth
    }

    func error(_ message: String) -> JSONError { JSONError(offset: at, message: message) }

    mutating func space() {
        while at < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[at]) { at += 1 }
    }

    mutating func value(depth: Int) throws(JSONError) -> JSON {
        if depth > maxDepth { throw error("nested deeper than \(maxDepth)") }
        space()
        guard at < bytes.count else { throw error("the document ends early") }
        switch bytes[at] {
        case UInt8(ascii: "{"): return try object(depth: depth)
        case UInt8(ascii: "["): return try array(depth: depth)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        default: return try number()
        }
    }

    mutating func word(_ text: String, _ value: JSON) throws(JSONError) -> JSON {
        guard bytes[at...].starts(with: text.utf8) else { throw error("not a JSON value") }
        at += text.utf8.count
        return value
    }

    mutating func object(depth: Int) throws(JSONError) -> JSON {
        var members: [String: JSON] = [:]
        at += 1
        space()
        if take("}") { return .object(members) }
        repeat {
            space()
            guard at < bytes.count, bytes[at] == UInt8(ascii: "\"") else { throw error("a member's name is missing") }
            let key = try string()
            space()
            if !take(":") { throw error("`:` is missing") }
            if members.updateValue(try value(depth: depth + 1), forKey: key) != nil {
                throw error("a member stands twice")
            }
            space()
        } while take(",")
        if !take("}") { throw error("`}` is missing") }
        return .object(members)
    }

    mutating func array(depth: Int) throws(JSONError) -> JSON {
        var items: [JSON] = []
        at += 1
        space()
        if take("]") { return .array(items) }
        repeat {
            items.append(try value(depth: depth + 1))
            space()
        } while take(",")
        if !take("]") { throw error("`]` is missing") }
        return .array(items)
    }

    mutating func take(_ scalar: Unicode.Scalar) -> Bool {
        guard at < bytes.count, bytes[at] == UInt8(ascii: scalar) else { return false }
        at += 1
        return true
    }

    mutating func string() throws(JSONError) -> String {
        at += 1
        var out = Bytes()
        while at < bytes.count {
            let byte = bytes[at]
            at += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard let text = out.text else { throw error("a string isn't UTF-8") }
                return text
            case UInt8(ascii: "\\"): out += try escape()
            case 0..<0x20: throw error("a raw control character in a string")
            default: out.append(byte)
            }
        }
        throw error("a string doesn't end")
    }

    mutating func escape() throws(JSONError) -> Bytes {
        guard at < bytes.count else { throw error("a string doesn't end") }
        let byte = bytes[at]
        at += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [byte]
        case UInt8(ascii: "b"): return [0x08]
        case UInt8(ascii: "f"): return [0x0C]
        case UInt8(ascii: "n"): return [0x0A]
        case UInt8(ascii: "r"): return [0x0D]
        case UInt8(ascii: "t"): return [0x09]
        case UInt8(ascii: "u"):
            var unit = try hex4()
            if (0xD800..<0xDC00).contains(unit) {
                guard at + 1 < bytes.count, bytes[at] == UInt8(ascii: "\\"), bytes[at + 1] == UInt8(ascii: "u") else {
                    throw error("half a surrogate pair")
                }
                at += 2
                let low = try hex4()
                guard (0xDC00..<0xE000).contains(low) else { throw error("half a surrogate pair") }
                unit = 0x10000 + (unit - 0xD800) << 10 + (low - 0xDC00)
            }
            guard let scalar = Unicode.Scalar(unit) else { throw error("half a surrogate pair") }
            return Array(String(Character(scalar)).utf8)
        default: throw error("an unknown escape")
        }
    }

    mutating func hex4() throws(JSONError) -> UInt32 {
        guard at + 4 <= bytes.count else { throw error("an escape of four digits is cut") }
        var value: UInt32 = 0
        for byte in bytes[at..<at + 4] {
            guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue, byte < 0x80 else {
                throw error("an escape of four digits has another character")
            }
            value = value << 4 | UInt32(digit)
        }
        at += 4
        return value
    }

    mutating func number() throws(JSONError) -> JSON {
        let start = at
        loop: while at < bytes.count {
            switch bytes[at] {
            case 0x30...0x39, UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "e"),
                UInt8(ascii: "E"):
                at += 1
            default: break loop
            }
        }
        let text = String(decoding: bytes[start..<at], as: UTF8.self)
        let digits = text.hasPrefix("-") ? text.dropFirst() : text[...]
        guard let first = digits.utf8.first, (0x30...0x39).contains(first),
            !(first == 0x30 && digits.utf8.dropFirst().first.map { (0x30...0x39).contains($0) } == true)
        else { throw JSONError(offset: start, message: "not a JSON value") }
        if let whole = Int(text), CanonicalJSON.integers.contains(whole) { return .int(whole) }
        let point = text.utf8.firstIndex(of: UInt8(ascii: "."))
        let hasFraction = point.map { after in
            text.utf8[text.utf8.index(after: after)...].first.map { (0x30...0x39).contains($0) } ?? false
        }
        guard hasFraction != false, let value = Double(text), value.isFinite else {
            throw JSONError(offset: start, message: "not a number")
        }
        // One that was written to the last digit isn't silently taken for its neighbour.
        if digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), JSON.double(value).canonical != Bytes(text) {
            throw JSONError(offset: start, message: "an integer that a double can't hold")
        }
        return .double(value)
    }
}
