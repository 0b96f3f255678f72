// Pure. The first line of a script, exactly as the kernel reads it.

import AegixSystem

public enum Shebang {
    /// The kernel's buffer.
    static let length = 256

    /// The interpreter and its one argument, if there is one; nil: not a script for the kernel.
    public static func words(_ head: Bytes) -> [Bytes]? {
        guard head.starts(with: Bytes("#!")) else { return nil }
        // What a short file doesn't fill is NUL.
        let buffer = Bytes(head.prefix(length)) + Bytes(repeating: 0, count: max(0, length - head.count))
        let isBlank: (UInt8) -> Bool = { $0 == 0x20 || $0 == 0x09 }
        var end = length - 1
        if let line = buffer.firstIndex(of: UInt8(ascii: "\n")) {
            end = line
        } else {
            guard let first = buffer[2..<end].firstIndex(where: { !isBlank($0) }),
                buffer[first..<end].contains(where: { isBlank($0) || $0 == 0 })
            else { return nil }
        }
        while end > 2, isBlank(buffer[end - 1]) { end -= 1 }
        guard let name = buffer[2..<end].firstIndex(where: { !isBlank($0) }) else { return nil }
        let stop = buffer[name..<end].firstIndex { isBlank($0) || $0 == 0 } ?? end
        let program = Bytes(buffer[name..<stop])
        if program.isEmpty { return nil }
        guard stop < end, buffer[stop] != 0, let from = buffer[stop..<end].firstIndex(where: { !isBlank($0) }) else {
            return [program]
        }
        let argument = Bytes(buffer[from..<end].prefix { $0 != 0 })
        return [program, argument]
    }
}
