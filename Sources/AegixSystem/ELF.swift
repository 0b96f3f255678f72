// Pure. What the first bytes of a file say of whether it is loaded as a program or library.

/// The head of an ELF file, as far as loading it goes: 64 bits, little-endian, the only kind that runs in a sandbox.
public struct ELFHead: Equatable, Sendable {
    /// The file's program headers.
    public let tableOffset: UInt64
    public let entrySize: Int
    public let count: Int

    public static let length = 64
    private static let entryLength = 56

    /// nil: no kernel or dynamic loader would map it, an object file for a linker among them.
    public init?(_ head: Bytes) {
        guard head.count >= ELFHead.length, head.starts(with: [0x7F, 0x45, 0x4C, 0x46, 2, 1]),
            [2, 3].contains(ELFHead.number(head, 16, 2))  // ET_EXEC, ET_DYN
        else { return nil }
        tableOffset = ELFHead.number(head, 32, 8)
        entrySize = Int(ELFHead.number(head, 54, 2))
        count = Int(ELFHead.number(head, 56, 2))
    }

    /// How much of the file has its program headers; nil: more than a loader would take.
    public var tableLength: Int? {
        entrySize == ELFHead.entryLength && (1...512).contains(count) ? entrySize * count : nil
    }

    /// Where the file names its dynamic loader; nil: it needs none.
    public func interpreter(table: Bytes) -> (offset: UInt64, length: Int)? {
        guard let length = tableLength, table.count >= length else { return nil }
        for at in stride(from: 0, to: length, by: entrySize) where ELFHead.number(table, at, 4) == 3 {  // PT_INTERP
            let size = ELFHead.number(table, at + 32, 8)
            return (2...4096).contains(size) ? (ELFHead.number(table, at + 8, 8), Int(size)) : nil
        }
        return nil
    }

    private static func number(_ bytes: Bytes, _ offset: Int, _ width: Int) -> UInt64 {
        bytes[offset..<offset + width].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
}
