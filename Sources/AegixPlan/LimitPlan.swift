// Pure. How each limit is held: the one place that chooses a mechanism for it.

import AegixPolicy
import AegixSystem

/// The limits of a run as mechanisms. Which one holds what, how exactly and at which cost: docs/limits.md.
public struct LimitPlan: Equatable, Sendable {
    /// Set in the child, hard and soft. Each process inherits them.
    public var resources: [Resource] = [Resource(.core, 1)]  // 0 would still start a host's piped core handler
    /// The sandbox's own tmpfs: /tmp, /dev/shm and home together.
    public var scratch: Scratch?
    /// How many of the caller's processors the command may use; nil is all of them.
    public var processors: Int?
    /// What the kernel holds for the whole sandbox.
    public var group: Group?
    /// What the watchdog counts.
    public var watch = Watch()
    public var controls: [Mechanism] = []

    public struct Resource: Equatable, Sendable {
        public enum Name: String, Sendable {
            case core
            case openFiles = "open_files"
            case cpuTime = "cpu_time"
            case processes, data
            case fileSize = "file_size"
            case stack
        }

        public var name: Name
        /// In the kernel's unit.
        public var value: UInt64
        /// The command may raise it again.
        public var isSoft = false

        init(_ name: Name, _ value: UInt64) {
            self.name = name
            self.value = value
        }
    }

    public struct Scratch: Equatable, Sendable {
        public var bytes: UInt64
        public var files: UInt64
        /// Which limit a full one is.
        public var isMemory: Bool
    }

    /// cgroup v2.
    public struct Group: Equatable, Sendable {
        public var memory: UInt64?
        /// pid 1 included.
        public var processes: UInt64?
        /// Thousandths of a processor.
        public var cpus: UInt64?
    }

    /// nil: not counted.
    public struct Watch: Equatable, Sendable {
        public var cpuTime: UInt64?
        /// Thousandths; the tree is stopped for as long as it was ahead of its share.
        public var cpus: UInt64?
        /// Everything together; above it the run is ended.
        public var memory: UInt64?
        /// Of one process, refused by the kernel: counted to be named.
        public var data: UInt64?
        public var pids: UInt64?
        /// Of processes and threads: each is asked for, so that a refusal is seen.
        public var requests: UInt64?
        public var openFiles: UInt64?
        public var disk: UInt64?

        public init() {}
    }

    /// A line of the record's `enforcement`.
    public struct Mechanism: Equatable, Sendable {
        public var name: String
        public var asked: String
        public var mechanism: String
    }

    /// A limit on processes that no ordinary program comes near: to see each request would cost every fork.
    private static let many: UInt64 = 512
    /// What a root needs beside the command's own files.
    private static let ownBytes: UInt64 = 1 << 20
    private static let ownFiles: UInt64 = 1024

    static func make(_ limits: Policy.Limits, tier: Tier, processors: Int) -> LimitPlan {
        var plan = LimitPlan()
        plan.addTimes(limits)
        if let files = limits.openFiles {
            plan.resources.append(Resource(.openFiles, files))
            plan.watch.openFiles = files
            plan.add("open_files", "\(files)", "RLIMIT_NOFILE")
        }
        switch tier {
        case .sealed: plan.addGroup(limits)
        case .isolated: plan.addCounted(limits, processors: processors)
        case .confined: plan.addCounted(limits, processors: processors, sharesUser: true)
        }
        plan.addSpace(limits, tier: tier)
        if let output = limits.output {
            plan.add("output", "\(output) bytes, \(limits.onOutput.rawValue)", "supervisor")
        }
        if let execs = limits.execs { plan.add("execs", "\(execs)", "seccomp notification") }
        return plan
    }

    private mutating func add(_ name: String, _ asked: String, _ mechanism: String) {
        controls.append(Mechanism(name: "limits." + name, asked: asked, mechanism: mechanism))
    }

    private mutating func addTimes(_ limits: Policy.Limits) {
        if let wall = limits.wall { add("wall", "\(wall) ns", "supervisor, and pid 1's own timer") }
        guard let time = limits.cpuTime else { return }
        // Behind the watchdog, which counts the whole tree: this bounds one process if the supervisor is stopped.
        resources.append(Resource(.cpuTime, time / 1_000_000_000 + 2))
        watch.cpuTime = time
        add("cpu_time", "\(time) ns", "watchdog over the tree, RLIMIT_CPU a process")
    }

    /// The kernel holds them for the tree as a whole.
    private mutating func addGroup(_ limits: Policy.Limits) {
        group = Group(memory: limits.memory, processes: limits.pids.map { $0 + 1 }, cpus: limits.cpus)
        if let memory = limits.memory { add("memory", "\(memory) bytes", "cgroup v2: memory.max, no swap") }
        if let pids = limits.pids { add("pids", "\(pids)", "cgroup v2: pids.max") }
        if let cpus = limits.cpus { add("cpus", Processors.text(cpus), "cgroup v2: cpu.max") }
    }

    /// Exact where a resource limit is, counted where none is.
    private mutating func addCounted(_ limits: Policy.Limits, processors: Int, sharesUser: Bool = false) {
        if let memory = limits.memory {
            resources.append(Resource(.data, memory))
            // A thread's stack counts as soon as it is reserved: 8 of the usual ones would fill 64 MiB.
            var stack = Resource(.stack, min(max(memory / 32, 1 << 20), 8 << 20))
            stack.isSoft = true
            resources.append(stack)
            watch.memory = memory
            watch.data = memory
            add("memory", "\(memory) bytes", "watchdog over the tree, RLIMIT_DATA a process")
        }
        if let pids = limits.pids {
            watch.pids = pids
            if sharesUser {
                // The kernel would count everything that the user runs on the host.
                add("pids", "\(pids)", "watchdog over the tree")
            } else {
                // pid 1; and one more where requests aren't seen: only one that is over the limit shows that it was met, and
                // not just used up.
                watch.requests = pids < LimitPlan.many ? pids : nil
                resources.append(Resource(.processes, pids + (watch.requests == nil ? 2 : 1)))
                add("pids", "\(pids)", "RLIMIT_NPROC in the sandbox's own user namespace")
            }
        }
        guard let cpus = limits.cpus else { return }
        let whole = Int((cpus + 999) / 1000)
        if whole < processors { self.processors = whole }
        // Processors alone hold a whole number of them.
        let isExact = cpus % 1000 == 0 && whole <= processors
        if !isExact, cpus < UInt64(processors) * 1000 { watch.cpus = cpus }
        let held =
            [self.processors.map { "affinity to \($0)" }, watch.cpus.map { _ in "stopped when ahead of the share" }]
            .compactMap { $0 }
        add("cpus", Processors.text(cpus), held.isEmpty ? "the host has no more" : held.joined(separator: ", "))
    }

    private mutating func addSpace(_ limits: Policy.Limits, tier: Tier) {
        if let disk = limits.disk {
            resources.append(Resource(.fileSize, disk))
            watch.disk = disk
            add("disk", "\(disk) bytes", "watchdog over layer and scratch, RLIMIT_FSIZE a file, no fallocate")
        }
        guard tier != .confined else { return }
        let most = [limits.memory, limits.disk].compactMap { $0 }.min()
        guard let most else { return }
        let isMemory = limits.memory.map { $0 == most } ?? false
        scratch = Scratch(
            bytes: most + LimitPlan.ownBytes, files: most / 4096 + LimitPlan.ownFiles, isMemory: isMemory)
    }

    /// What the limits change in the allowlist.
    var syscalls: SyscallSet {
        var set = SyscallSet.standard
        set.watchesProcesses = watch.requests != nil
        set.watchesMemory = watch.data != nil
        set.refusesReservation = watch.disk != nil
        set.keepsProcessors = processors != nil
        return set
    }
}
