// Pure. The plan's limits as the kernel's, a process each.

import AegixPolicy
import CAegix
import Glibc

enum ProcessLimits {
    static func make(_ limits: Policy.Limits) -> [aegix_limit] {
        // 1, not 0: at 0 the kernel still starts a host's piped core handler.
        var out = [limit(RLIMIT_CORE, 1)]
        if let files = limits.openFiles { out.append(limit(RLIMIT_NOFILE, files)) }
        if let time = limits.cpuTime {
            // Behind the watchdog, which counts the whole tree: this bounds one process if the supervisor is stopped.
            out.append(limit(RLIMIT_CPU, time / 1_000_000_000 + 2))
        }
        return out
    }

    private static func limit(_ resource: __rlimit_resource, _ value: UInt64) -> aegix_limit {
        aegix_limit(resource: Int32(resource.rawValue), soft: value, hard: value)
    }
}
