// Pure. How git writes names, objects and binary content in a patch.

import AegixSystem
import CZlib

enum GitText {
    /// A name as it is, or in quotes with C's escapes where git would quote it: control characters, quotes, backslashes
    /// and what isn't ASCII.
    static func quoted(_ name: Bytes) -> Bytes {
        if name.allSatisfy({ 0x20..<0x7F ~= $0 && $0 != quote && $0 != backslash }) { return name }
        var out: Bytes = [quote]
        for byte in name {
            if let letter = letters[byte] {
                out += [backslash, letter]
            } else if 0x20..<0x7F ~= byte {
                out.append(byte)
            } else {
                out += [backslash, 0x30 + byte >> 6, 0x30 + (byte >> 3) & 7, 0x30 + byte & 7]
            }
        }
        return out + [quote]
    }

    /// The id of a file's content.
    static func blob(_ bytes: Bytes) -> String {
        var head = Bytes("blob ")
        head.append(decimal: UInt64(bytes.count))
        return SHA1.hex(head + [0], bytes)
    }

    /// `literal N` and the deflated content in lines of base 85.
    static func literal(_ bytes: Bytes, into out: inout Bytes) {
        out += Bytes("literal ")
        out.append(decimal: UInt64(bytes.count))
        out.append(0x0A)
        let packed = deflated(bytes)
        var start = 0
        while start < packed.count {
            let line = packed[start..<min(start + 52, packed.count)]
            let count = UInt8(line.count)
            out.append(count <= 26 ? 0x40 + count : 0x60 + count - 26)
            encode(line, into: &out)
            out.append(0x0A)
            start = line.endIndex
        }
        out.append(0x0A)
    }

    static func deflated(_ bytes: Bytes) -> Bytes {
        let room = compressBound(uLong(bytes.count))
        return Bytes(unsafeUninitializedCapacity: Int(room)) { buffer, count in
            var used = room
            // With this much room there is one error left, that memory runs out, and Swift traps on that everywhere.
            let code = bytes.withUnsafeBufferPointer {
                compress2(buffer.baseAddress, &used, $0.baseAddress ?? empty, uLong($0.count), Z_BEST_SPEED)
            }
            precondition(code == Z_OK, "no memory to compress")
            count = Int(used)
        }
    }

    private static func encode(_ line: ArraySlice<UInt8>, into out: inout Bytes) {
        var index = line.startIndex
        while index < line.endIndex {
            var word: UInt32 = 0
            for place in index..<(index + 4) { word = word << 8 | UInt32(place < line.endIndex ? line[place] : 0) }
            var digits = Bytes(repeating: 0, count: 5)
            for place in digits.indices.reversed() {
                digits[place] = alphabet[Int(word % 85)]
                word /= 85
            }
            out += digits
            index += 4
        }
    }

    /// zlib asks for a pointer also where there is nothing to read.
    nonisolated(unsafe) private static let empty = UnsafePointer<UInt8>(
        UnsafeMutablePointer<UInt8>.allocate(capacity: 1))
    private static let quote = UInt8(ascii: "\"")
    private static let backslash = UInt8(ascii: "\\")
    private static let letters: [UInt8: UInt8] = [
        0x07: 0x61, 0x08: 0x62, 0x09: 0x74, 0x0A: 0x6E, 0x0B: 0x76, 0x0C: 0x66, 0x0D: 0x72, quote: quote,
        backslash: backslash,
    ]
    private static let alphabet = Bytes(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~")
}
