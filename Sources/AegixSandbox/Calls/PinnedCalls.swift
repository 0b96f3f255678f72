// Side effects: writes into the memory of processes that wait in a notification, and answers them.

import AegixPlan
import AegixSystem
import CAegix
import Glibc

/// The calls whose answer the plan has fixed: random numbers, the time of day, the order of a directory. Nothing is allowed or
/// refused by it; what is written goes where the caller has asked to have it, and only while it waits for it.
final class PinnedCalls {
    private let random: SeededRandom?
    private let instant: UInt64?
    private let waits: TimedWaits?
    private let reversesListings: Bool
    private let getrandom = SyscallFilter.number(of: "getrandom")
    private let clockGettime = SyscallFilter.number(of: "clock_gettime")
    private let gettimeofday = SyscallFilter.number(of: "gettimeofday")
    private let futex = SyscallFilter.number(of: "futex")
    private let time = SyscallFilter.number(of: "time")
    private let getdents = SyscallFilter.number(of: "getdents64")

    /// More comes in pieces, as when a signal comes in between.
    private static let mostRandom = 1 << 20
    private static let mostListed = 65536
    /// CLOCK_REALTIME, _COARSE, _ALARM and CLOCK_TAI.
    private static let wallClocks: Set<Int32> = [0, 5, 8, 11]

    /// nil: the plan fixes none.
    init?(_ plan: DeterminismPlan, random: SeededRandom?, listener: Int32) {
        if random == nil, plan.instant == nil, !plan.reversesListings { return nil }
        self.random = random
        instant = plan.instant
        waits = plan.instant.map { TimedWaits(instant: $0, listener: listener) }
        reversesListings = plan.reversesListings
    }

    /// When somebody is to be answered who waits, by the clock that goes on.
    var nextTurn: UInt64? { waits?.nextTurn }
    func turn() { waits?.turn() }

    private enum Answer {
        case value(Int)
        case error(Int32)
        case gone
        case later, proceed
    }

    /// Whether it was one of these.
    func answer(_ notice: aegix_notice, listener: Int32) -> Bool {
        let call = Call(notice, listener)
        let answer: Answer
        switch notice.call {
        case getrandom where random != nil: answer = fill(call)
        case clockGettime where instant != nil: answer = clock(call)
        case gettimeofday where instant != nil: answer = timeOfDay(call)
        case time where instant != nil: answer = seconds(call)
        case getdents where reversesListings: answer = list(call)
        case futex where waits != nil: answer = wait(notice)
        default: return false
        }
        switch answer {
        case .value(let value): _ = aegix_notice_answer(listener, notice.id, Int64(value))
        case .error(let code): _ = aegix_notice_refuse(listener, notice.id, code)
        case .proceed: _ = aegix_notice_continue(listener, notice.id)
        // Whom it can't reach doesn't wait; whoever does, however, mustn't wait for ever.
        case .gone: _ = aegix_notice_refuse(listener, notice.id, EINTR)
        case .later: break
        }
        return true
    }

    private struct Call {
        let id: UInt64
        let thread: pid_t
        let words: (UInt64, UInt64, UInt64)
        let listener: Int32

        init(_ notice: aegix_notice, _ listener: Int32) {
            (id, thread) = (notice.id, pid_t(bitPattern: notice.pid))
            words = (notice.arguments.0, notice.arguments.1, notice.arguments.2)
            self.listener = listener
        }

        /// nil: it is there. An address that isn't the caller's to write to is EFAULT, as from the kernel.
        func write(_ bytes: Bytes, _ address: UInt64) -> Answer? {
            if bytes.isEmpty { return nil }
            if address == 0 || address >= 1 << 63 { return .error(EFAULT) }
            let written = bytes.withUnsafeBytes { raw in
                raw.baseAddress.map { aegix_write_memory(listener, id, thread, address, $0, raw.count) } ?? 0
            }
            if written == 0 { return nil }
            return errno == ENOENT ? .gone : .error(EFAULT)
        }
    }

    // MARK: - Random numbers

    private func fill(_ call: Call) -> Answer {
        let flags = UInt32(truncatingIfNeeded: call.words.2)
        // GRND_NONBLOCK 1, GRND_RANDOM 2, GRND_INSECURE 4.
        if flags & ~7 != 0 || flags & 6 == 6 { return .error(EINVAL) }
        let count = Int(min(call.words.1, UInt64(PinnedCalls.mostRandom)))
        guard let bytes = random?.bytes(count, for: call.thread) else { return .error(EIO) }
        return call.write(bytes, call.words.0) ?? .value(count)
    }

    // MARK: - The time of day

    private func clock(_ call: Call) -> Answer {
        if !PinnedCalls.wallClocks.contains(Int32(truncatingIfNeeded: call.words.0)) { return .error(EINVAL) }
        return call.write(pair(unit: 1), call.words.1) ?? .value(0)
    }

    private func timeOfDay(_ call: Call) -> Answer {
        if call.words.0 != 0, let failed = call.write(pair(unit: 1000), call.words.0) { return failed }
        // The kernel's time zone, which is UTC.
        if call.words.1 != 0, let failed = call.write(Bytes(repeating: 0, count: 8), call.words.1) { return failed }
        return .value(0)
    }

    private func seconds(_ call: Call) -> Answer {
        let now = Int((instant ?? 0) / 1_000_000_000)
        if call.words.0 != 0, let failed = call.write(PinnedCalls.word(now), call.words.0) { return failed }
        return .value(now)
    }

    private func wait(_ notice: aegix_notice) -> Answer {
        switch waits?.answer(notice) {
        case .error(let code): .error(code)
        case .later: .later
        case .proceed, nil: .proceed
        }
    }

    /// struct timespec, or with units of 1000 ns struct timeval.
    private func pair(unit: UInt64) -> Bytes {
        let now = instant ?? 0
        return PinnedCalls.word(Int(now / 1_000_000_000)) + PinnedCalls.word(Int(now % 1_000_000_000 / unit))
    }

    private static func word(_ value: Int) -> Bytes { withUnsafeBytes(of: value) { Bytes($0) } }

    // MARK: - Directories

    /// On a copy of the caller's descriptor, which shares its place in the directory.
    private func list(_ call: Call) -> Answer {
        let number = Int32(truncatingIfNeeded: call.words.0)
        var copied = aegix_copy_descriptor(call.listener, call.id, call.thread, number)
        // Before Linux 6.9 only a process is taken, and its threads have the descriptors in common.
        if copied < 0, errno == EINVAL, let process = ProcessFacts.group(call.thread) {
            copied = aegix_copy_descriptor(call.listener, call.id, process, number)
        }
        if copied < 0 { return errno == ENOENT ? .gone : .error(errno == ESRCH ? EBADF : errno) }
        let directory = Descriptor(owning: copied)
        let place = lseek(directory.raw, 0, SEEK_CUR)
        let room = Int(min(UInt64(UInt32(truncatingIfNeeded: call.words.2)), UInt64(PinnedCalls.mostListed)))
        var failed: Int32 = 0
        let entries = Bytes(unsafeUninitializedCapacity: max(1, room)) { buffer, count in
            guard let base = buffer.baseAddress else { return }
            let got = aegix_list_reversed(directory.raw, base, room)
            if got < 0 { failed = errno }
            count = max(0, got)
        }
        if failed != 0 { return .error(failed) }
        if let answer = call.write(entries, call.words.1) {
            lseek(directory.raw, place, SEEK_SET)
            return answer
        }
        return .value(entries.count)
    }
}
