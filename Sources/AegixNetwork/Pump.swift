// Side effects: moves bytes of one direction of a connection, unseen, through a pipe that it holds only while some are under way.

import AegixSystem
import CAegix
import Glibc

/// Pipes that nothing waits in.
final class PipePool {
    private var free: [(read: Int32, write: Int32)] = []
    private var taken = 0
    /// Of a pipe, while there are few; where many wait at once, each holds little.
    static let bytes: Int32 = 1 << 20
    private static let few = 32

    func take() -> (read: Int32, write: Int32)? {
        if let one = free.popLast() {
            taken += 1
            return one
        }
        var ends: [Int32] = [-1, -1]
        if aegix_relay_pipe(&ends, taken < PipePool.few ? PipePool.bytes : 1 << 16) < 0 { return nil }
        taken += 1
        return (ends[0], ends[1])
    }

    func give(_ pipe: (read: Int32, write: Int32), isEmpty: Bool) {
        taken -= 1
        if isEmpty, free.count < 8 { return free.append(pipe) }
        close(pipe.read)
        close(pipe.write)
    }

    func end() {
        for pipe in free {
            close(pipe.read)
            close(pipe.write)
        }
        free = []
    }
}

struct Pump {
    enum Step { case idle, more, broken }

    /// Nothing is taken yet: its beginning hasn't been judged.
    var isHeld = false
    var canRead = true
    var canWrite = true
    private(set) var moved: UInt64 = 0
    /// The end was passed on.
    private(set) var isDone = false
    private var isAtEnd = false
    private var waiting = 0
    private var pipe: (read: Int32, write: Int32)?

    /// So much at once, then the others have their turn.
    private static let turn = 4 << 20

    mutating func run(from: Int32, to: Int32, _ pool: PipePool) -> Step {
        if isHeld || isDone { return .idle }
        var left = Pump.turn
        while left > 0 {
            if waiting > 0, let pipe {
                if !canWrite { return .idle }
                let count = aegix_move_bytes(pipe.read, to, waiting)
                if count > 0 {
                    waiting -= count
                    left -= count
                    moved += UInt64(count)
                } else if count < 0, errno == EAGAIN {
                    canWrite = false
                    return .idle
                } else if count < 0, errno == EINTR {
                    continue
                } else {
                    return .broken
                }
                continue
            }
            if isAtEnd {
                shutdown(to, Int32(SHUT_WR))
                isDone = true
                release(pool)
                return .idle
            }
            if !canRead {
                release(pool)
                return .idle
            }
            if pipe == nil { pipe = pool.take() }
            guard let pipe else { return .broken }
            let count = aegix_move_bytes(from, pipe.write, Int(PipePool.bytes))
            if count > 0 {
                waiting = count
            } else if count == 0 {
                isAtEnd = true
            } else if errno == EAGAIN {
                canRead = false
            } else if errno != EINTR {
                return .broken
            }
        }
        return .more
    }

    /// Moved by somebody else.
    mutating func count(_ bytes: Int) { moved += UInt64(bytes) }

    mutating func release(_ pool: PipePool) {
        if let pipe { pool.give(pipe, isEmpty: waiting == 0) }
        pipe = nil
    }
}
