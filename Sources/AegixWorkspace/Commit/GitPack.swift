// Side effects: reads one pack of a repository. Everything in it counts as hostile: lengths, offsets and chains are checked.

import AegixSystem
import CAegix
import Glibc

final class GitPack {
    private let format: GitFormat
    private let index: Descriptor
    private let pack: Descriptor
    private let count: UInt64
    private let packSize: UInt64
    /// Where the index's parts begin.
    private let (names, offsets, large): (UInt64, UInt64, UInt64)

    init(_ name: Bytes, in directory: Tree, _ format: GitFormat) throws(SystemError) {
        self.format = format
        index = try directory.file(name + Bytes(".idx"))
        pack = try directory.file(name + Bytes(".pack"))
        packSize = try FileFacts(of: pack).size
        let head = try GitPack.read(index, 0, 8 + 1024)
        // Version 2, the only one written since 2008.
        guard head.starts(with: [0xFF, 0x74, 0x4F, 0x63, 0, 0, 0, 2]) else {
            throw SystemError("read", name + Bytes(".idx"), errno: EUCLEAN)
        }
        count = GitPack.number(head[(8 + 1020)...])
        names = 8 + 1024
        offsets = names + count * UInt64(format.length) + count * 4
        large = offsets + count * 4
    }

    func offset(of id: GitID) throws(SystemError) -> UInt64? {
        let raw = id.raw
        guard let first = raw.first else { return nil }
        let fanout = try GitPack.read(index, 8 + (first == 0 ? 0 : UInt64(first) - 1) * 4, 8)
        var low = first == 0 ? 0 : GitPack.number(fanout[..<4])
        var high = first == 0 ? GitPack.number(fanout[..<4]) : GitPack.number(fanout[4...])
        guard low <= high, high <= count else { throw SystemError("read", errno: EUCLEAN) }
        while low < high {
            let middle = (low + high) / 2
            let found = try GitPack.read(index, names + middle * UInt64(format.length), format.length)
            if found == raw { return try offset(at: middle) }
            if found.lexicographicallyPrecedes(raw) { low = middle + 1 } else { high = middle }
        }
        return nil
    }

    private func offset(at place: UInt64) throws(SystemError) -> UInt64 {
        let small = GitPack.number(try GitPack.read(index, offsets + place * 4, 4)[...])
        if small & 0x8000_0000 == 0 { return small }
        return GitPack.number(try GitPack.read(index, large + (small & 0x7FFF_FFFF) * 8, 8)[...])
    }

    /// What lies at a place: an object as a whole, or what makes it of another.
    enum Entry {
        case whole(GitObject.Kind, Packed)
        case delta(of: Base, Packed)
    }

    enum Base {
        case at(UInt64)
        case named(GitID)
    }

    /// Where it begins, and how long it says that it becomes.
    struct Packed {
        var start: UInt64
        var size: Int
    }

    func entry(at place: UInt64) throws(SystemError) -> Entry {
        guard place >= 12, place < packSize else { throw GitPack.damaged }
        let head = try GitPack.read(pack, place, Int(min(64, packSize - place)), isWhole: false)
        var used = 1
        guard let first = head.first else { throw GitPack.damaged }
        var size = UInt64(first & 15)
        var shift: UInt64 = 4
        while head[used - 1] & 0x80 != 0 {
            guard used < head.count, shift < 60 else { throw GitPack.damaged }
            size |= UInt64(head[used] & 0x7F) << shift
            shift += 7
            used += 1
        }
        guard size <= UInt64(GitObject.longest) else { throw SystemError("read", errno: EFBIG) }
        func packed() -> Packed { Packed(start: place + UInt64(used), size: Int(size)) }
        switch first >> 4 & 7 {
        case 1: return .whole(.commit, packed())
        case 2: return .whole(.tree, packed())
        case 3: return .whole(.blob, packed())
        case 4: return .whole(.tag, packed())
        case 6:
            guard used < head.count else { throw GitPack.damaged }
            var distance = UInt64(head[used] & 0x7F)
            used += 1
            while head[used - 1] & 0x80 != 0 {
                guard used < head.count, distance < 1 << 50 else { throw GitPack.damaged }
                distance = (distance + 1) << 7 | UInt64(head[used] & 0x7F)
                used += 1
            }
            guard distance > 0, distance < place else { throw GitPack.damaged }
            return .delta(of: .at(place - distance), packed())
        case 7:
            guard used + format.length <= head.count,
                let id = format.parse(raw: head[used..<(used + format.length)])
            else { throw GitPack.damaged }
            used += format.length
            return .delta(of: .named(id), packed())
        default: throw GitPack.damaged
        }
    }

    static let damaged = SystemError("read a pack", errno: EUCLEAN)

    func inflated(_ packed: Packed) throws(SystemError) -> Bytes {
        var at = packed.start
        let body = try Inflation.run(limit: packed.size + (64 << 10)) { () throws(SystemError) in
            let piece = try GitPack.read(pack, at, Int(min(64 << 10, packSize - min(packSize, at))), isWhole: false)
            at += UInt64(piece.count)
            return piece
        }
        guard body.count == packed.size else { throw GitPack.damaged }
        return body
    }

    private static func number(_ bytes: ArraySlice<UInt8>) -> UInt64 { bytes.reduce(0) { $0 << 8 | UInt64($1) } }

    private static func read(
        _ file: borrowing Descriptor, _ offset: UInt64, _ length: Int, isWhole: Bool = true
    ) throws(SystemError) -> Bytes {
        var buffer = Bytes(repeating: 0, count: length)
        var done = 0
        while done < length {
            let left = length - done
            let count = buffer.withUnsafeMutableBytes { room in
                room.baseAddress.map { aegix_pread(file.raw, $0 + done, left, offset + UInt64(done)) } ?? 0
            }
            if count < 0, errno == EINTR { continue }
            if count < 0 { throw SystemError.last("read") }
            if count == 0 { break }
            done += count
        }
        if isWhole, done < length { throw SystemError("read", errno: EUCLEAN) }
        return Bytes(buffer[..<done])
    }
}
