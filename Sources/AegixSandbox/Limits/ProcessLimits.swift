// Pure. The plan's limits of a process, as the kernel's.

import AegixPlan
import CAegix
import Glibc

enum ProcessLimits {
    static func make(_ resources: [LimitPlan.Resource]) -> [aegix_limit] {
        resources.map { aegix_limit(resource: number($0.name), soft: $0.value, hard: $0.isSoft ? .max : $0.value) }
    }

    private static func number(_ name: LimitPlan.Resource.Name) -> Int32 {
        switch name {
        case .core: Int32(RLIMIT_CORE.rawValue)
        case .openFiles: Int32(RLIMIT_NOFILE.rawValue)
        case .cpuTime: Int32(RLIMIT_CPU.rawValue)
        case .processes: Int32(__RLIMIT_NPROC.rawValue)
        case .data: Int32(RLIMIT_DATA.rawValue)
        case .fileSize: Int32(RLIMIT_FSIZE.rawValue)
        case .stack: Int32(RLIMIT_STACK.rawValue)
        }
    }
}
