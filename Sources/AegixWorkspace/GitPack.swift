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

    private static let deepest = 4096

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

    /// Down the chain of deltas to what is whole, and up again.
    func object(
        at place: UInt64, others: (GitID) throws(SystemError) -> GitObject?
    ) throws(SystemError) -> GitObject {
        var deltas: [Bytes] = []
        var at = place
        var base: GitObject?
        while base == nil {
            guard at >= 12, at < packSize, deltas.count < GitPack.deepest else { throw damaged }
            let head = try GitPack.read(pack, at, Int(min(64, packSize - at)), isWhole: false)
            var used = 1
            guard let first = head.first else { throw damaged }
            var size = UInt64(first & 15)
            var shift: UInt64 = 4
            while head[used - 1] & 0x80 != 0 {
                guard used < head.count, shift < 60 else { throw damaged }
                size |= UInt64(head[used] & 0x7F) << shift
                shift += 7
                used += 1
            }
            guard size <= UInt64(GitObject.longest) else { throw SystemError("read", errno: EFBIG) }
            let type = first >> 4 & 7
            switch type {
            case 1, 2, 3, 4:
                let kinds: [GitObject.Kind] = [.commit, .tree, .blob, .tag]
                base = GitObject(kind: kinds[Int(type) - 1], body: try inflated(at + UInt64(used), size))
            case 6:
                guard used < head.count else { throw damaged }
                var distance = UInt64(head[used] & 0x7F)
                used += 1
                while head[used - 1] & 0x80 != 0 {
                    guard used < head.count, distance < 1 << 50 else { throw damaged }
                    distance = (distance + 1) << 7 | UInt64(head[used] & 0x7F)
                    used += 1
                }
                guard distance > 0, distance < at else { throw damaged }
                deltas.append(try inflated(at + UInt64(used), size))
                at -= distance
            case 7:
                guard used + format.length <= head.count,
                    let id = format.parse(raw: head[used..<(used + format.length)])
                else { throw damaged }
                deltas.append(try inflated(at + UInt64(used + format.length), size))
                if let next = try offset(of: id) { at = next } else { base = try others(id) }
                if at == place { throw damaged }
            default: throw damaged
            }
        }
        guard var object = base else { throw damaged }
        for delta in deltas.reversed() { object.body = try applied(delta, to: object.body) }
        return object
    }

    private var damaged: SystemError { SystemError("read a pack", errno: EUCLEAN) }

    private func inflated(_ start: UInt64, _ size: UInt64) throws(SystemError) -> Bytes {
        var at = start
        let body = try Inflation.run(limit: Int(size) + (64 << 10)) { () throws(SystemError) in
            let piece = try GitPack.read(pack, at, Int(min(64 << 10, packSize - min(packSize, at))), isWhole: false)
            at += UInt64(piece.count)
            return piece
        }
        guard body.count == Int(size) else { throw damaged }
        return body
    }

    private func applied(_ delta: Bytes, to base: Bytes) throws(SystemError) -> Bytes {
        var at = 0
        func next() throws(SystemError) -> Int {
            guard at < delta.count else { throw damaged }
            defer { at += 1 }
            return Int(delta[at])
        }
        func length() throws(SystemError) -> Int {
            var (value, shift) = (0, 0)
            while true {
                let byte = try next()
                guard shift < 56 else { throw damaged }
                value |= (byte & 0x7F) << shift
                shift += 7
                if byte & 0x80 == 0 { return value }
            }
        }
        let (from, to) = (try length(), try length())
        guard from == base.count, to <= GitObject.longest else { throw damaged }
        var out = Bytes()
        out.reserveCapacity(to)
        while at < delta.count {
            let code = try next()
            if code & 0x80 == 0 {
                guard code > 0, at + code <= delta.count else { throw damaged }
                out += delta[at..<(at + code)]
                at += code
                continue
            }
            var (start, size) = (0, 0)
            for bit in 0..<4 where code >> bit & 1 == 1 { start |= try next() << (8 * bit) }
            for bit in 0..<3 where code >> (4 + bit) & 1 == 1 { size |= try next() << (8 * bit) }
            if size == 0 { size = 0x10000 }
            guard start + size <= base.count, out.count + size <= to else { throw damaged }
            out += base[start..<(start + size)]
        }
        guard out.count == to else { throw damaged }
        return out
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
