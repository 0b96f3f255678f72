// Pure. Paths, arguments and environment are bytes: the kernel knows no encoding.

import Glibc

public typealias Bytes = [UInt8]

extension Array where Element == UInt8 {
    public init(_ text: String) { self = Array(text.utf8) }

    /// Up to the NUL.
    public init(cString: UnsafePointer<CChar>) {
        self = Array(UnsafeRawBufferPointer(start: cString, count: strlen(cString)))
    }

    /// Decimal digits. `String(number)` goes through generic code that is resolved anew in every process.
    public mutating func append(decimal number: UInt64) {
        var place: UInt64 = 1
        while number / place > 9 { place *= 10 }
        while place > 0 {
            append(UInt8(ascii: "0") + UInt8(number / place % 10))
            place /= 10
        }
    }

    /// So many decimal digits, zeros before them.
    mutating func append(digits number: UInt64, _ count: Int) {
        var place: UInt64 = 1
        for _ in 1..<count { place *= 10 }
        while place > 0 {
            append(UInt8(ascii: "0") + UInt8(number / place % 10))
            place /= 10
        }
    }

    /// The text, if these bytes are valid UTF-8.
    public var text: String? { String(validating: self, as: UTF8.self) }

    /// For a person on a terminal: control characters, escapes and invalid UTF-8 are made visible, so that no name
    /// can move the cursor or imitate a line of ours (E3).
    public var shown: String {
        if allSatisfy({ (0x20..<0x7F).contains($0) }) { return String(decoding: self, as: UTF8.self) }
        var out = ""
        for scalar in String(decoding: self, as: UTF8.self).unicodeScalars {
            switch scalar.value {
            case 0x0A: out += "\\n"
            case 0x09: out += "\\t"
            case 0..<0x20, 0x7F..<0xA0, 0xAD, 0x061C, 0x200B...0x200F, 0x2028...0x202E, 0x2060...0x206F, 0xFEFF, 0xFFFD,
                0xE0000...0xE007F:
                out += "\\u{" + String(scalar.value, radix: 16) + "}"
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out
    }

    /// In the order of their bytes.
    public func precedes(_ other: Bytes) -> Bool {
        let first = withUnsafeBytes { these in
            other.withUnsafeBytes { those in
                guard let a = these.baseAddress, let b = those.baseAddress else { return Int32(0) }
                return memcmp(a, b, Swift.min(these.count, those.count))
            }
        }
        return first == 0 ? count < other.count : first < 0
    }

    /// Calls `body` with these bytes as a C string; a NUL inside would silently shorten a path, so it traps: callers
    /// refuse NUL where bytes enter the program.
    public func withCString<R>(_ body: (UnsafePointer<CChar>) throws -> R) rethrows -> R {
        precondition(!contains(0), "NUL inside a path")
        return try withUnsafeTemporaryAllocation(of: CChar.self, capacity: count + 1) { buffer in
            for index in 0..<count { buffer[index] = CChar(bitPattern: self[index]) }
            buffer[count] = 0
            guard let base = buffer.baseAddress else { preconditionFailure("a terminated buffer is never empty") }
            return try body(base)
        }
    }
}

/// Lexical work on absolute paths, as bytes.
public enum Path {
    public static let slash = UInt8(ascii: "/")

    public static func isAbsolute(_ path: Bytes) -> Bool { path.first == slash }

    /// The names between the slashes. Plain loops here and below: this is on the way of every run, and a generic
    /// adaptor's type is made anew by the runtime in every process.
    public static func components(_ path: Bytes) -> [Bytes] {
        var parts: [Bytes] = []
        var start = 0
        for end in 0...path.count where end == path.count || path[end] == slash {
            if end > start { parts.append(Bytes(path[start..<end])) }
            start = end + 1
        }
        return parts
    }

    /// An absolute path of these names.
    public static func absolute(_ parts: [Bytes]) -> Bytes {
        if parts.isEmpty { return [slash] }
        var path = Bytes()
        for part in parts {
            path.append(slash)
            path += part
        }
        return path
    }

    public static func join(_ base: Bytes, _ rest: Bytes) -> Bytes {
        if rest.isEmpty { return base }
        if isAbsolute(rest) { return rest }
        return base.last == slash ? base + rest : base + [slash] + rest
    }

    /// Without `.`, `..`, doubled and trailing slashes; `..` at the top stays at the top.
    public static func normalized(_ path: Bytes) -> Bytes {
        if isNormalized(path) { return path }
        var kept: [Bytes] = []
        let dot = UInt8(ascii: ".")
        for part in components(path) {
            if part == [dot] { continue }
            if part == [dot, dot] { _ = kept.popLast() } else { kept.append(part) }
        }
        return absolute(kept)
    }

    /// Most paths are, and then nothing has to be taken apart.
    private static func isNormalized(_ path: Bytes) -> Bool {
        if path.count < 2 || path[0] != slash { return path == [slash] }
        var length = 0
        var dots = 0
        for index in 1...path.count {
            if index < path.count, path[index] != slash {
                length += 1
                if path[index] == UInt8(ascii: ".") { dots += 1 }
            } else {
                if length == 0 || dots == length && length < 3 { return false }
                (length, dots) = (0, 0)
            }
        }
        return true
    }

    public static func parent(_ path: Bytes) -> Bytes {
        if isNormalized(path), let last = path.lastIndex(of: slash) {
            return last == 0 ? [slash] : Bytes(path[..<last])
        }
        var parts = components(path)
        _ = parts.popLast()
        return absolute(parts)
    }

    public static func name(_ path: Bytes) -> Bytes { components(path).last ?? [] }

    /// Whether `path` is `ancestor` or lies beneath it. Both normalized.
    public static func contains(_ ancestor: Bytes, _ path: Bytes) -> Bool {
        if ancestor == [slash] || ancestor == path { return true }
        return path.count > ancestor.count && path.starts(with: ancestor) && path[ancestor.count] == slash
    }
}
