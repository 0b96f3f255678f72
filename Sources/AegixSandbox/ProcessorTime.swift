// Side effects: reads the sandbox's own /proc.

import CAegix
import Glibc

/// CPU time of the whole tree, alive and gone.
///
/// Two sums, and the larger counts: what each living process says of itself and of the children it waited for; and the
/// last that was seen of every process, which knows of children that nobody waits for.
struct ProcessorTime {
    private var seen: [Key: UInt64] = [:]
    private var gone: UInt64 = 0
    private let tick = 1_000_000_000 / UInt64(max(1, sysconf(Int32(_SC_CLK_TCK))))

    private struct Key: Hashable {
        var pid: Int32
        var started: UInt64
    }

    /// Nanoseconds so far.
    mutating func total(proc: Int32, tasks: [aegix_task_facts]) -> UInt64 {
        var told: UInt64 = 0
        var now: [Key: UInt64] = [:]
        for task in tasks {
            var own: UInt64 = 0
            var waited: UInt64 = 0
            var started: UInt64 = 0
            // One that ended meanwhile is counted by what was seen of it before.
            if aegix_watch_time(proc, task.pid, &own, &waited, &started) < 0 { continue }
            told += own + waited
            now[Key(pid: task.pid, started: started)] = own
        }
        for (key, ticks) in seen where now[key] == nil { gone += ticks }
        seen = now
        return max(told, now.values.reduce(gone, +)) * tick
    }
}
