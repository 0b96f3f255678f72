// Side effects: reads the sandbox's own /proc.

import AegixSystem
import CAegix
import Glibc

/// CPU time of the whole tree, reaped and alive. Looks only when the limit could have been reached, so a command far from
/// its limit costs nothing.
struct CPUWatch {
    private let limit: UInt64
    private let processors: UInt64
    /// Whose processes they are, where the sandbox has no /proc of its own.
    private let tree: RunTree?
    private(set) var nextLook: UInt64

    /// A look costs some microseconds a process; closer looks than this gain nothing over the kernel's 10 ms ticks.
    private static let shortest: UInt64 = 10_000_000

    init(limit: UInt64, tree: RunTree? = nil, now: UInt64) {
        self.limit = limit
        self.tree = tree
        processors = UInt64(max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))))
        nextLook = now + max(limit / processors, CPUWatch.shortest)
    }

    /// Whether the limit is reached; else when to look again.
    mutating func look(root: Int32, now: UInt64) -> Bool {
        let used = tree.map(CPUWatch.used) ?? CPUWatch.used(root: root)
        if used >= limit { return true }
        nextLook = now + max((limit - used) / processors, CPUWatch.shortest)
        return false
    }

    private static func used(tree: RunTree) -> UInt64 {
        let ticks = UInt64(max(1, sysconf(Int32(_SC_CLK_TCK))))
        var total: UInt64 = 0
        for pid in [tree.root] + tree.pids() {
            guard let fields = ProcessFacts.fields(Bytes("/proc/\(pid)/stat")), fields.count > 14 else { continue }
            for index in 11...14 { total += UInt64(fields[index]) ?? 0 }
        }
        return total * (1_000_000_000 / ticks)
    }

    private static func used(root: Int32) -> UInt64 {
        let ticks = UInt64(max(1, sysconf(Int32(_SC_CLK_TCK))))
        do {
            let raw = Bytes("proc").withCString { aegix_open_in_root(root, $0, O_RDONLY | O_DIRECTORY) }
            if raw < 0 { return 0 }
            let proc = Descriptor(owning: raw)
            let again = try Descriptor.open(Bytes("."), O_RDONLY | O_DIRECTORY, at: proc.raw)
            var total: UInt64 = 0
            for entry in try DirectoryListing.entries(again) {
                guard let first = entry.name.first, (0x31...0x39).contains(first) else { continue }
                guard let fields = ProcessFacts.fields(entry.name + Bytes("/stat"), at: proc.raw), fields.count > 14
                else { continue }
                // utime, stime, and those of children already waited for
                for index in 11...14 { total += UInt64(fields[index]) ?? 0 }
            }
            return total * (1_000_000_000 / ticks)
        } catch {
            return 0  // the sandbox is gone: its end is noticed elsewhere
        }
    }
}
