// Side effects: asks for the numbers of processes. Random numbers that are the same each time.

import AegixSystem
import CAegix
import Glibc

/// A stream of bytes for each thread of a run, from the seed, the thread's number inside and how much it had before: programs
/// that run one after the other get the same each time. Nothing here is secret from anybody who knows the seed.
final class SeededRandom {
    private let seed: UInt64
    /// There is no pid namespace: a thread's number is its place among those that asked.
    private let isConfined: Bool
    private var namespace = Descriptor.none
    private var counters: [UInt64: UInt64] = [:]
    private var places: [pid_t: UInt64] = [:]
    /// Counts how often the counters were forgotten, so that no stream begins again.
    private var era: UInt64 = 0

    private static let mostThreads = 65536

    init(seed: UInt64, isConfined: Bool) {
        self.seed = seed
        self.isConfined = isConfined
    }

    /// nil: the thread's number can't be told; it is gone, then.
    func bytes(_ count: Int, for thread: pid_t) -> Bytes? {
        guard let number = number(of: thread) else { return nil }
        if counters.count >= SeededRandom.mostThreads {
            counters.removeAll()
            places.removeAll()
            era += 1
        }
        let first = counters[number] ?? 0
        let blocks = UInt64(count + 31) / 32
        counters[number] = first + blocks
        return SeededRandom.stream([seed, number, era], from: first, count: count)
    }

    static func stream(_ words: [UInt64], from first: UInt64, count: Int) -> Bytes {
        let key = SHA256.digest(Bytes("aegix seeded random") + words.flatMap(little))
        var out = Bytes()
        out.reserveCapacity(count + 32)
        var block = first
        while out.count < count {
            out += SHA256.digest(key + little(block))
            block += 1
        }
        out.removeLast(out.count - count)
        return out
    }

    private static func little(_ word: UInt64) -> Bytes { withUnsafeBytes(of: word.littleEndian) { Bytes($0) } }

    private func number(of thread: pid_t) -> UInt64? {
        if isConfined {
            if let known = places[thread] { return known }
            places[thread] = UInt64(places.count)
            return places[thread]
        }
        if !namespace.isOpen {
            namespace = Descriptor(owning: open("/proc/\(thread)/ns/pid", O_RDONLY | O_CLOEXEC))
        }
        if namespace.isOpen {
            let inside = aegix_watch_inside(namespace.raw, thread)
            if inside > 0 { return UInt64(inside) }
        }
        // Before Linux 6.11, by its own word.
        return ProcessFacts.inside(thread).map { UInt64($0) }
    }
}
