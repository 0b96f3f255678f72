// Side effects: reads the sandbox's own /proc.

import CAegix
import Glibc

/// CPU time of the whole tree, alive and gone.
///
/// Two sums, and the larger counts: what each living process says of itself and of the children it waited for; and the
/// last that was seen of every process, which knows of children that nobody waits for.
struct ProcessorTime {
    /// In nanoseconds.
    struct Sum: Equatable {
        var user: UInt64 = 0
        var system: UInt64 = 0
        var total: UInt64 { user + system }
    }

    private var seen: [Key: Sum] = [:]
    private var gone = Sum()
    private let tick = 1_000_000_000 / UInt64(max(1, sysconf(Int32(_SC_CLK_TCK))))

    private struct Key: Hashable {
        var pid: Int32
        var started: UInt64
    }

    mutating func total(proc: Int32, initial: Int32, tasks: [aegix_task_facts]) -> Sum {
        var told = Sum()
        var now: [Key: Sum] = [:]
        for pid in [initial] + tasks.map(\.pid) {  // the first has waited for the orphans
            var time = aegix_time_facts()
            // One that ended meanwhile is counted by what was seen of it before.
            if aegix_watch_time(proc, pid, &time) < 0 { continue }
            told.user += (time.user + time.waited_user) * tick
            told.system += (time.system + time.waited_system) * tick
            now[Key(pid: pid, started: time.started)] = Sum(user: time.user * tick, system: time.system * tick)
        }
        for (key, sum) in seen where now[key] == nil {
            gone.user += sum.user
            gone.system += sum.system
        }
        seen = now
        var last = gone
        for sum in now.values {
            last.user += sum.user
            last.system += sum.system
        }
        return told.total > last.total ? told : last
    }
}
