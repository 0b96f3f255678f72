// Pure. What makes an object of another, and what making one may cost.

import AegixSystem
import Glibc

/// Pieces of the base and new bytes, one after the other.
struct GitDelta {
    /// Of the base, and of what is made of it.
    private(set) var (from, to) = (0, 0)
    private let code: Bytes
    private var at = 0

    init(_ code: Bytes) throws(SystemError) {
        self.code = code
        from = try length()
        to = try length()
        guard to <= GitObject.longest else { throw SystemError("read", errno: EFBIG) }
    }

    private mutating func next() throws(SystemError) -> Int {
        guard at < code.count else { throw GitPack.damaged }
        defer { at += 1 }
        return Int(code[at])
    }

    private mutating func length() throws(SystemError) -> Int {
        var (value, shift) = (0, 0)
        while true {
            let byte = try next()
            guard shift < 56 else { throw GitPack.damaged }
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte & 0x80 == 0 { return value }
        }
    }

    consuming func applied(to base: Bytes) throws(SystemError) -> Bytes {
        guard from == base.count else { throw GitPack.damaged }
        var out = Bytes()
        out.reserveCapacity(to)
        while at < code.count {
            let step = try next()
            if step & 0x80 == 0 {
                guard step > 0, at + step <= code.count, out.count + step <= to else { throw GitPack.damaged }
                out += code[at..<(at + step)]
                at += step
                continue
            }
            var (start, size) = (0, 0)
            for bit in 0..<4 where step >> bit & 1 == 1 { start |= try next() << (8 * bit) }
            for bit in 0..<3 where step >> (4 + bit) & 1 == 1 { size |= try next() << (8 * bit) }
            if size == 0 { size = 0x10000 }
            guard start + size <= base.count, out.count + size <= to else { throw GitPack.damaged }
            out += base[start..<(start + size)]
        }
        guard out.count == to else { throw GitPack.damaged }
        return out
    }
}

/// What one object of a pack may cost. Asked before anything is unpacked.
struct GitBudget {
    private var visited: Set<UInt64> = []
    private var (inflated, made) = (0, 0)

    private static let deepest = 4096
    private static let mostInflated = 1 << 30
    /// By deltas. A long chain of a long file comes to this; it costs time, not memory.
    private static let mostMade = 32 << 30

    /// A second time is a circle.
    mutating func visit(_ place: UInt64) throws(SystemError) {
        guard visited.count < GitBudget.deepest, visited.insert(place).inserted else { throw GitPack.damaged }
    }

    mutating func inflate(_ size: Int) throws(SystemError) {
        inflated += size
        if inflated > GitBudget.mostInflated { throw SystemError("read a pack", errno: EFBIG) }
    }

    mutating func make(_ size: Int) throws(SystemError) {
        made += size
        if made > GitBudget.mostMade { throw SystemError("read a pack", errno: EFBIG) }
    }
}
