// Side effects: reads the memory of threads that wait in a notification, and answers them.

import AegixSystem
import CAegix
import Glibc

/// Waits until a time of day, by a clock that stands: they last as long as the time lies ahead of it. The kernel would wait for its
/// own clock to get there, which takes years.
///
/// A thread isn't woken out of a notification by another's futex call. So it is told in short turns that the word may have
/// changed; it looks, and waits again. When the time is over it is told that.
final class TimedWaits {
    private struct Wait {
        var address: UInt64
        var deadline: UInt64
        var began: UInt64
        /// When it was last told to look.
        var told: UInt64
    }
    private struct Turn {
        var id: UInt64
        var thread: pid_t
        var at: UInt64
        var isLast: Bool
    }

    private let instant: UInt64
    private let listener: Int32
    private var waits: [pid_t: Wait] = [:]
    private var turns: [Turn] = []
    /// When the next one is to be answered, by the clock that goes on.
    private(set) var nextTurn: UInt64?

    private static let shortest: UInt64 = 200_000
    private static let longest: UInt64 = 5_000_000
    /// Who asks again within this, asks for the same wait.
    private static let patience: UInt64 = 50_000_000
    private static let mostThreads = 16384

    init(instant: UInt64, listener: Int32) {
        self.instant = instant
        self.listener = listener
    }

    enum Answer {
        case error(Int32)
        /// Later, by `turn`.
        case later
        /// None of these waits: the kernel's own.
        case proceed
    }

    /// futex(address, operation, value, time, …) with FUTEX_CLOCK_REALTIME and a time.
    func answer(_ notice: aegix_notice) -> Answer {
        let words = notice.arguments
        // FUTEX_WAIT_BITSET, private or not, is the only one that a C library waits by.
        if words.1 & 0x7f != 9 { return .proceed }
        let thread = pid_t(bitPattern: notice.pid)
        guard let time = RemoteMemory.bytes(thread, words.3, 16), let word = RemoteMemory.bytes(thread, words.0, 4)
        else { return .error(EFAULT) }
        func number(_ bytes: ArraySlice<UInt8>) -> UInt64 { bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) } }
        let (seconds, nanoseconds) = (number(time[0..<8]), number(time[8..<16]))
        if seconds >= 1 << 63 || nanoseconds >= 1_000_000_000 { return .error(EINVAL) }
        if number(word[...]) != words.2 & 0xffff_ffff { return .error(EAGAIN) }
        let deadline = min(seconds, 9_000_000_000) * 1_000_000_000 + nanoseconds
        if deadline <= instant { return .error(ETIMEDOUT) }
        return wait(notice.id, thread, words.0, deadline)
    }

    private func wait(_ id: UInt64, _ thread: pid_t, _ address: UInt64, _ deadline: UInt64) -> Answer {
        let now = Clock.monotonic()
        var wait = Wait(address: address, deadline: deadline, began: now, told: now)
        if let known = waits[thread], known.address == address, known.deadline == deadline,
            now - known.told < TimedWaits.patience
        {
            wait.began = known.began
        }
        let end = wait.began &+ (deadline - instant)
        if now >= end {
            waits[thread] = nil
            return .error(ETIMEDOUT)
        }
        if waits.count >= TimedWaits.mostThreads { waits.removeAll() }
        let turn = min(max((now - wait.began) / 4, TimedWaits.shortest), TimedWaits.longest)
        let at = min(end, now + turn)
        wait.told = at
        waits[thread] = wait
        turns.append(Turn(id: id, thread: thread, at: at, isLast: at == end))
        nextTurn = min(nextTurn ?? at, at)
        return .later
    }

    /// Answers those whose turn is over.
    func turn() {
        let now = Clock.monotonic()
        guard let next = nextTurn, next <= now else { return }
        nextTurn = nil
        turns.removeAll { turn in
            if turn.at > now {
                nextTurn = min(nextTurn ?? turn.at, turn.at)
                return false
            }
            if turn.isLast { waits[turn.thread] = nil } else { waits[turn.thread]?.told = now }
            // One that is gone by now needs no answer.
            _ = aegix_notice_refuse(listener, turn.id, turn.isLast ? ETIMEDOUT : EAGAIN)
            return true
        }
    }
}
