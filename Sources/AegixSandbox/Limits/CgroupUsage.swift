// Pure. What a cgroup is to hold, and what it counted.

import AegixSystem

/// What the kernel is to hold a run to; nil is no limit.
public struct CgroupLimits: Equatable, Sendable {
    /// Bytes of everything together, tmpfs, memfd, pipe and socket buffers included. Swap is off.
    public var memory: UInt64?
    /// Processes and threads as the kernel counts them: the sandbox's pid 1 is one.
    public var pids: UInt64?
    /// Thousandths of a processor.
    public var cpus: UInt64?

    public init(memory: UInt64? = nil, pids: UInt64? = nil, cpus: UInt64? = nil) {
        self.memory = memory
        self.pids = pids
        self.cpus = cpus
    }

    /// `cpu.max`: microseconds of processor time in each period. A tenth of a second is the kernel's own choice; the
    /// least quota it takes is a millisecond, so small shares get a longer period.
    static func cpuMax(thousandths: UInt64) -> Bytes {
        let period: UInt64 = thousandths < 10 ? 1_000_000 : 100_000
        let (quota, tooMuch) = max(1, thousandths).multipliedReportingOverflow(by: period / 1000)
        var text = Bytes()
        // More than any machine has is no limit.
        if tooMuch || quota > 1 << 40 { text += Bytes("max") } else { text.append(decimal: quota) }
        text.append(0x20)
        text.append(decimal: period)
        return text
    }
}

/// What the kernel counted of a run, all its processes together. nil: this kernel, or this place, doesn't count it.
public struct CgroupUsage: Equatable, Sendable {
    /// Nanoseconds.
    public var cpuUser: UInt64?
    public var cpuSystem: UInt64?
    /// Nanoseconds that it was kept from running by the limit on CPU.
    public var throttled: UInt64?
    /// Bytes, at the highest.
    public var memoryPeak: UInt64?
    /// How often the limit was reached and memory had to be taken back.
    public var memoryMaxHits: UInt64?
    /// How often that wasn't enough: with this above 0, `oomKills` are this cgroup's own, not the machine's.
    public var ooms: UInt64?
    /// Processes killed for lack of memory.
    public var oomKills: UInt64?
    /// Processes and threads that weren't made because of the limit.
    public var pidsRefused: UInt64?
    /// Bytes read from and written to block devices. A stack of devices counts each.
    public var ioRead: UInt64?
    public var ioWritten: UInt64?

    public init() {}

    mutating func take(cpuStat text: Bytes) {
        cpuUser = CgroupUsage.value("user_usec", in: text).map { $0 &* 1000 }
        cpuSystem = CgroupUsage.value("system_usec", in: text).map { $0 &* 1000 }
        throttled = CgroupUsage.value("throttled_usec", in: text).map { $0 &* 1000 }
    }

    mutating func take(memoryEvents text: Bytes) {
        memoryMaxHits = CgroupUsage.value("max", in: text)
        ooms = CgroupUsage.value("oom", in: text)
        oomKills = CgroupUsage.value("oom_kill", in: text)
    }

    mutating func take(pidsEvents text: Bytes) { pidsRefused = CgroupUsage.value("max", in: text) }

    mutating func take(memoryPeak text: Bytes) {
        memoryPeak = CgroupUsage.number(text[...].prefix { $0 != 0x0A })
    }

    /// `8:0 rbytes=4096 wbytes=0 rios=1 …`, a line a device; no line where nothing was read or written.
    mutating func take(ioStat text: Bytes) {
        var (read, written) = (UInt64(0), UInt64(0))
        for word in text.split(whereSeparator: { $0 == 0x20 || $0 == 0x0A }) {
            guard let split = word.firstIndex(of: UInt8(ascii: "=")) else { continue }
            guard let count = CgroupUsage.number(word[(split + 1)...]) else { continue }
            switch Bytes(word[..<split]) {
            case Bytes("rbytes"): read &+= count
            case Bytes("wbytes"): written &+= count
            default: break
            }
        }
        (ioRead, ioWritten) = (read, written)
    }

    /// `name 12`, a line each.
    static func value(_ name: String, in text: Bytes) -> UInt64? {
        let start = Bytes(name + " ")
        for line in text.split(separator: 0x0A) where line.starts(with: start) {
            return number(line.dropFirst(start.count))
        }
        return nil
    }

    private static func number(_ digits: ArraySlice<UInt8>) -> UInt64? {
        if digits.isEmpty { return nil }
        var value: UInt64 = 0
        for digit in digits {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digit) else { return nil }
            let (tens, over) = value.multipliedReportingOverflow(by: 10)
            let (sum, past) = tens.addingReportingOverflow(UInt64(digit - UInt8(ascii: "0")))
            if over || past { return nil }
            value = sum
        }
        return value
    }
}
