// Pure. The 512 bytes before each entry of a tar archive (POSIX ustar), in the one form that a bundle has.

import AegixSystem

/// A regular file of mode 0600, of nobody and of no time. A reader makes the header that has to come, and compares: nothing of a
/// stranger's header is ever heeded, but for the size where the size can't be known.
enum BundleHeader {
    static let length = 512
    /// Two blocks of zeros.
    static let end = 1024

    static func make(_ name: String, _ size: UInt64) -> Bytes {
        precondition(name.utf8.count < 100 && size <= BundleBounds.file, "a name and a size that fit")
        var block = Bytes(repeating: 0, count: length)
        func put(_ text: String, at start: Int) {
            block.replaceSubrange(start..<start + text.utf8.count, with: text.utf8)
        }
        put(name, at: 0)
        put("0000600", at: 100)
        put("0000000", at: 108)
        put("0000000", at: 116)
        put(octal(size, 11), at: 124)
        put("00000000000", at: 136)
        // The sum is made as if it were blank itself.
        put("        ", at: 148)
        put("0", at: 156)
        put("ustar", at: 257)
        put("00", at: 263)
        let sum = block.reduce(UInt64(0)) { $0 + UInt64($1) }
        put(octal(sum, 6), at: 148)
        block[154] = 0
        return block
    }

    /// Zeros up to the next block.
    static func padding(_ size: UInt64) -> Int { Int((512 - size % 512) % 512) }

    private static func octal(_ number: UInt64, _ digits: Int) -> String {
        let text = String(number, radix: 8)
        return String(repeating: "0", count: max(0, digits - text.utf8.count)) + text
    }

    /// The size that this header of `name` says; nil: it isn't in the one form.
    static func size(of name: String, in block: Bytes) -> UInt64? {
        guard block.count == length, let text = Bytes(block[124..<135]).text, let size = UInt64(text, radix: 8),
            make(name, size) == block
        else { return nil }
        return size
    }

    /// For a message: what stands there instead of `name`.
    static func describe(_ block: Bytes, insteadOf name: String) -> String {
        if block.allSatisfy({ $0 == 0 }) { return "the archive ends before it" }
        let found = Bytes(block[0..<100].prefix { $0 != 0 })
        let kind: String
        switch block[156] {
        case UInt8(ascii: "0"), 0: kind = "a file"
        case UInt8(ascii: "1"): kind = "a hard link"
        case UInt8(ascii: "2"): kind = "a symbolic link"
        case UInt8(ascii: "3"), UInt8(ascii: "4"): kind = "a device"
        case UInt8(ascii: "5"): kind = "a directory"
        case UInt8(ascii: "6"): kind = "a FIFO"
        case UInt8(ascii: "x"), UInt8(ascii: "g"): kind = "a header of extended attributes"
        case UInt8(ascii: "S"), UInt8(ascii: "D"), UInt8(ascii: "M"), UInt8(ascii: "L"), UInt8(ascii: "K"):
            kind = "a header of GNU tar's own"
        default: kind = "something unknown"
        }
        if found == Bytes(name), kind == "a file" { return "its header isn't in the one form that there is" }
        return "\(kind) named \(found.shown) stands there instead"
    }
}
