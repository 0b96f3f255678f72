// Side effects: reads /proc/self/mountinfo.

import AegixSystem
import Glibc

/// What is mounted where, as the kernel tells it. Unlike a device number it shows a bind within one file system too.
struct MountTable {
    var mounts: [(point: Bytes, type: Bytes)] = []

    private static let longest = 16 << 20

    init() throws(SystemError) {
        let table = Bytes("/proc/self/mountinfo")
        let text = try Descriptor.open(table, O_RDONLY).readAll(limit: MountTable.longest)
        for line in text.split(separator: UInt8(ascii: "\n")) {
            // Optional fields end with a lone hyphen; the type comes next.
            let fields = line.split(separator: UInt8(ascii: " "))
            guard fields.count > 4, let hyphen = fields[5...].firstIndex(of: [UInt8(ascii: "-")]),
                hyphen + 1 < fields.count
            else { throw SystemError("read", table, errno: EBADMSG) }
            mounts.append((MountTable.unescaped(Bytes(fields[4])), Bytes(fields[hyphen + 1])))
        }
    }

    /// Blanks and backslashes are written as `\040`: three octal digits.
    static func unescaped(_ text: Bytes) -> Bytes {
        var out = Bytes()
        var index = 0
        while index < text.count {
            if text[index] == UInt8(ascii: "\\"), index + 3 < text.count {
                out.append(text[index + 1...index + 3].reduce(0) { $0 << 3 | $1 & 7 })
                index += 4
            } else {
                out.append(text[index])
                index += 1
            }
        }
        return out
    }
}
