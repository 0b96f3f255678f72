// Side effects: reads the sandbox's own /proc and file systems. Everything that has to be counted because no kernel limit
// covers the whole tree.

import AegixPlan
import AegixSystem
import CAegix
import Glibc

/// Looks at a running sandbox, as often as its limits ask for: the closer one is, the sooner the next look. A run that
/// changes nothing is looked at less and less, down to what the fastest growth would need.
final class Watchdog {
    /// The next look is due, by the monotonic clock; nil: never.
    private(set) var nextLook: UInt64?
    /// Limits that were met without ending the run: the kernel refused what went beyond.
    private(set) var met: [Outcome.Limit] = []
    /// Limits that were used up, which explains the failure of a run that failed, and nothing else.
    private(set) var reached: [Outcome.Limit] = []

    private let plan: LimitPlan
    private let root: Int32
    /// Whose processes they are, where the sandbox has neither a /proc nor a file system of its own.
    private let tree: (any ProcessListing)?
    /// As `proc` numbers it.
    private let initial: Int32
    /// The same, as the host does.
    private let hostInitial: pid_t
    private let proc: Descriptor
    private var room = [aegix_task_facts](repeating: aegix_task_facts(), count: 64)
    private var memory: MemoryWatch?
    private var disk: DiskWatch?
    private var cpu: CPUWatch?
    private var time = ProcessorTime()
    /// As it was last seen.
    private(set) var processorTime = ProcessorTime.Sum()
    private var still: UInt64 = 1
    private var last = Snapshot()
    private var stillness = Stillness()
    /// `processorTime` is of the last look in full.
    private var timeIsKnown = false
    /// What the last look in full came to.
    private var wait: UInt64 = 0

    enum Verdict: Equatable {
        case fine
        case over(Outcome.Limit)
        /// The tree is to be stopped for this long.
        case ahead(UInt64)
    }

    private struct Snapshot: Equatable {
        var tasks = 0
        var threads: UInt64 = 0
        var files: UInt64 = 0
        var pages: UInt64 = 0
    }

    /// nanoseconds
    private static let usual: UInt64 = 4_000_000
    private static let shortest: UInt64 = 1_000_000
    private static let rarest: UInt64 = 128
    /// After three looks that saw no change.
    private static let settled: UInt64 = 8
    /// A process refused memory has at most this much less than the limit: larger requests are seen one by one.
    private static let granule = SyscallSet.smallMapping

    /// nil where nothing has to be counted. `root` and `sockets` stay open for as long as this lives.
    ///
    /// - initial: the sandbox's first process, ours, as the host numbers it.
    init?(
        _ plan: LimitPlan, layer: Bytes?, root: Int32, sockets: Int32, initial: pid_t, processors: Int,
        tree: (any ProcessListing)? = nil, now: UInt64
    ) throws(SystemError) {
        let watch = plan.watch
        if watch == LimitPlan.Watch(), plan.scratch == nil { return nil }
        self.plan = plan
        self.root = root
        self.tree = tree
        self.initial = tree == nil ? 1 : initial
        hostInitial = initial
        let raw = Bytes("proc").withCString { aegix_open_in_root(root, $0, O_RDONLY | O_DIRECTORY) }
        if raw < 0 { throw SystemError.last("open", Bytes("/proc")) }
        proc = Descriptor(owning: raw)
        cpu = CPUWatch(limit: watch.cpuTime, share: watch.cpus, processors: processors, now: now)
        let scratch = tree == nil ? Watchdog.scratch(root).used : 0
        memory = watch.memory.map {
            MemoryWatch(limit: $0, processors: processors, sockets: sockets, initial: initial, scratch: scratch)
        }
        if let limit = watch.disk { disk = try DiskWatch(limit: limit, layer: layer, isCopy: tree != nil) }
        let counts = watch.pids != nil || watch.openFiles != nil || plan.scratch != nil || memory != nil || disk != nil
        nextLook = counts ? now + Watchdog.usual : cpu?.nextLook
        counted = counts
    }

    private let counted: Bool

    func look(now: UInt64) -> Verdict {
        let isTimeDue = cpu.map { now >= $0.nextLook } ?? false
        if timeIsKnown || !isTimeDue, stillness.holds(now: now) {
            let verdict = isTimeDue ? judgeTime(now) : .fine
            nextLook = min(now + wait, cpu?.nextLook ?? .max)
            return verdict
        }
        let began = Clock.processor()
        let tasks = tasks()
        var verdict = Verdict.fine
        wait = UInt64.max
        if counted {
            let scratch = ownScratch
            // Where the kernel refuses none, the count itself is the limit.
            if tree != nil, let limit = plan.watch.pids, tasks.reduce(UInt64(0), { $0 + UInt64($1.threads) }) > limit {
                return .over(.pids)
            }
            note(tasks, scratchIsFull: scratch.isFull)
            wait = pace(tasks)
            if let reading = memory?.look(
                proc: proc.raw, tasks: tasks, scratch: scratch.used, isStill: still >= Watchdog.settled, now: now)
            {
                if reading.isOver { return .over(.memory) }
                wait = min(wait, reading.wait)
            }
            if let disk {
                let reading = disk.look(proc: proc.raw, tasks: tasks, scratch: scratch.used, now: now)
                if disk.isMet { meet(.disk) }
                if reading.isOver { return .over(.disk) }
                wait = min(wait, reading.wait)
            }
        }
        timeIsKnown = isTimeDue
        if isTimeDue {
            processorTime = time.total(proc: proc.raw, initial: initial, tasks: tasks)
            verdict = judgeTime(now)
            if case .over = verdict { return verdict }
        }
        if counted, still >= Watchdog.settled { stillness.note(tasks, proc: proc.raw, of: hostInitial, now: now) }
        // A tree of many processes takes long to look at: most of the time is the command's.
        wait = max(wait, Watchdog.shortest, (Clock.processor() - began) * 4)
        nextLook = min(counted ? now + wait : .max, cpu?.nextLook ?? .max)
        return verdict
    }

    private func judgeTime(_ now: UInt64) -> Verdict {
        switch cpu?.judge(used: processorTime.total, now: now) {
        case .over: .over(.cpuTime)
        case .ahead(let time): .ahead(time)
        case .fine, nil: .fine
        }
    }

    /// Before the tree is killed: the kernel doesn't add up the time of what it kills.
    func measureTime() { processorTime = time.total(proc: proc.raw, initial: initial, tasks: tasks()) }

    /// The last look, when every process is gone. Whether the disk limit was passed between two looks.
    func finish() -> Outcome.Limit? {
        let scratch = ownScratch
        if scratch.isFull { meetScratch() }
        if let disk {
            if disk.finish(scratch: scratch.used) { return .disk }
            if disk.isMet { meet(.disk) }
        }
        return nil
    }

    /// All of it was in use: what came next was refused, if anything came.
    private func reach(_ limit: Outcome.Limit) {
        if !reached.contains(limit) { reached.append(limit) }
    }

    /// Something was refused, and the refusal was seen as such.
    func meet(_ limit: Outcome.Limit) {
        if !met.contains(limit) { met.append(limit) }
    }

    private func tasks() -> [aegix_task_facts] {
        if let tree {
            return tree.pids().compactMap { pid in
                var task = aegix_task_facts()
                return aegix_watch_task(proc.raw, pid, &task) < 0 ? nil : task
            }
        }
        var found = aegix_watch_tasks(proc.raw, &room, room.count)
        if found > room.count {
            room = [aegix_task_facts](repeating: aegix_task_facts(), count: found * 2)
            found = aegix_watch_tasks(proc.raw, &room, room.count)
        }
        return Array(room.prefix(max(0, found)))
    }

    private func note(_ tasks: [aegix_task_facts], scratchIsFull: Bool) {
        if scratchIsFull { meetScratch() }
        if let limit = plan.watch.pids, tasks.reduce(UInt64(0), { $0 + UInt64($1.threads) }) > limit { meet(.pids) }
        if let limit = plan.watch.openFiles, tasks.contains(where: { UInt64($0.files) >= limit }) {
            reach(.openFiles)
        }
        if let limit = plan.watch.data, tasks.contains(where: { $0.data + Watchdog.granule >= limit }) {
            reach(.memory)
        }
    }

    private func meetScratch() {
        guard let scratch = plan.scratch else { return }
        meet(scratch.isMemory ? .memory : .disk)
    }

    /// Twice as long after each look that saw no change.
    private func pace(_ tasks: [aegix_task_facts]) -> UInt64 {
        var now = Snapshot(tasks: tasks.count)
        for task in tasks {
            now.threads += UInt64(task.threads)
            now.files += UInt64(task.files)
            now.pages += task.resident >> 16
        }
        still = now == last ? min(still * 2, Watchdog.rarest) : 1
        last = now
        return Watchdog.usual * still
    }

    /// The host's own file system isn't the run's to count.
    private var ownScratch: (used: UInt64, isFull: Bool) {
        tree == nil ? Watchdog.scratch(root) : (used: 0, isFull: false)
    }

    private static func scratch(_ root: Int32) -> (used: UInt64, isFull: Bool) {
        var bytes: UInt64 = 0
        var files: UInt64 = 0
        var free: UInt64 = 1
        if aegix_watch_filesystem(root, &bytes, &files, &free) < 0 { return (0, false) }
        return (bytes, free == 0)
    }
}
