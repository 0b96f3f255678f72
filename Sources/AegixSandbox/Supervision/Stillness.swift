// Side effects: reads the CPU clocks of other processes.

import CAegix
import Glibc

/// Whether anything of a run has run at all. A process that takes memory, makes a file or starts another spends time of its
/// own doing so: while no clock moves, what was seen is still true, and asking the clocks costs a twentieth of a look.
struct Stillness {
    private struct Process: Equatable {
        var pid: pid_t
        var time: UInt64
    }

    private var inside: [Int32] = []
    /// As the host numbers them.
    private var known: [Process] = []
    private var isSettled = false
    private var fullAt: UInt64 = 0

    /// Others change what a look sees too: one in full comes at least so often.
    private static let longest: UInt64 = 250_000_000

    /// After a look. Two in a row have to find the same processes with the same times: what the first missed can't have
    /// begun since without time passing in its parent.
    mutating func note(_ tasks: [aegix_task_facts], proc: Int32, of initial: pid_t, now: UInt64) {
        fullAt = now + Stillness.longest
        let pids = tasks.map(\.pid)
        if pids != inside || known.count != pids.count {
            inside = pids
            isSettled = false
            let host = HostNumbers.of(tasks, proc: proc, initial: initial)
            known = pids.compactMap { pid in host[pid].map { Process(pid: $0, time: 0) } }
        }
        let before = known
        isSettled = read() && known == before && !known.isEmpty && known.count == inside.count
    }

    /// Whether nothing ran since the last look, which needn't be repeated then.
    mutating func holds(now: UInt64) -> Bool {
        if !isSettled || now >= fullAt { return false }
        let before = known
        isSettled = read() && known == before
        return isSettled
    }

    /// Whether all of them are there still.
    private mutating func read() -> Bool {
        for index in known.indices {
            var time = timespec()
            // The kernel's name for the CPU clock of a process.
            if clock_gettime(~known[index].pid << 3 | 2, &time) < 0 { return false }
            known[index].time = UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
        }
        return true
    }
}
