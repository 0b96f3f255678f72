// Pure data. The allowlist of system calls. What isn't in it never reaches the kernel: the supervisor answers it.

/// What the filter does with each call. Compiled by libseccomp in AegixSandbox.
public struct SyscallPlan: Equatable, Sendable {
    public var allowed: [String]
    public var allowedNumbers: [Int32]
    public var conditional: [Conditional]
    /// Answered by the filter itself: programs try these first and fall back at once, often in a loop.
    public var absent: [String]
    public var absentNumbers: [Int32]
    /// Answered EOPNOTSUPP by the filter itself, as on a file system without it.
    public var unsupported: [String] = []
    /// exec and its like: the supervisor sees each and lets it go on.
    public var watched: [String]

    /// Allowed when every test of one of the alternatives holds.
    public struct Conditional: Equatable, Sendable {
        public var call: String
        public var alternatives: [[Test]]
    }

    /// `argument & mask == value`, or `argument <= value`. The mask cuts an int argument to its 32 bits (SECURITY: the
    /// upper ones are ignored by the kernel, but not by a 64-bit compare).
    public struct Test: Equatable, Sendable {
        public var argument: UInt32
        public var mask: UInt64
        public var value: UInt64
        public var isAtMost = false
    }

    public static let standard = SyscallPlan(
        allowed: SyscallTable.allowed, allowedNumbers: SyscallTable.allowedNumbers,
        conditional: SyscallTable.conditional, absent: SyscallTable.absent,
        absentNumbers: SyscallTable.absentNumbers, watched: ["execve", "execveat"])
}

extension SyscallPlan {
    fileprivate mutating func watch(_ calls: [String]) {
        allowed.removeAll(where: calls.contains)
        watched += calls
    }
}

/// Which tables a plan uses, and what its limits change in them. They are built only when a filter has to be compiled.
public struct SyscallSet: Equatable, Sendable {
    /// The supervisor sees every request for memory that a limit could refuse, so that the record can name the limit.
    public var watchesMemory = false
    /// The supervisor sees every request for a process or thread, for the same reason.
    public var watchesProcesses = false
    /// The supervisor sees every file that is opened by name, so that the record can tell of those that are denied.
    public var watchesOpens = false
    /// Space can't be reserved faster than a watchdog looks.
    public var refusesReservation = false
    /// The command keeps the processors that it was given.
    public var keepsProcessors = false

    /// The supervisor sees every connect, for the record and so that the relay is there in time.
    public var watchesConnects = false

    /// The supervisor sees every call that names a file, so that a policy can be learned from them.
    public var watchesPaths = false

    /// The supervisor sees every file that is opened or gets another name, so that the record can tell what was read.
    public var watchesReads = false

    /// No sockets, no System V IPC, and the supervisor's hand on what Landlock leaves out.
    public var isConfined = false

    /// Nobody inside can hold a process or write into one whose exec is judged.
    public var judgesExecs = false

    /// Addresses aren't random, and stay so.
    public var keepsAddresses = false

    /// The supervisor answers getrandom.
    public var seedsRandomness = false

    /// The supervisor answers who asks for the time of day.
    public var stopsClock = false

    /// The supervisor answers who lists a directory.
    public var reversesListings = false

    public static let standard = SyscallSet()

    public init() {}

    /// For the names of compiled filters.
    public var key: String {
        (isConfined ? "confined" : "standard") + (watchesMemory ? "-memory" : "")
            + (watchesProcesses ? "-processes" : "") + (refusesReservation ? "-space" : "")
            + (keepsProcessors ? "-processors" : "") + (watchesConnects ? "-connects" : "")
            + (watchesOpens ? "-opens" : "") + (watchesReads ? "-reads" : "") + (watchesPaths ? "-paths" : "")
            + (judgesExecs ? "-judged" : "") + (keepsAddresses ? "-addresses" : "")
            + (seedsRandomness ? "-seeded" : "") + (stopsClock ? "-clock" : "")
            + (reversesListings ? "-listings" : "")
    }

    public var plan: SyscallPlan {
        var plan = isConfined ? SyscallPlan.confined : .standard
        if watchesMemory {
            let asked = ["mmap", "mremap", "mprotect", "pkey_mprotect", "shmget", "msgget", "semget"]
            plan.allowed.removeAll { asked.contains($0) || $0 == "fcntl" }
            plan.conditional += SyscallTable.smallMemory
        }
        if watchesProcesses {
            plan.allowed.removeAll { ["fork", "vfork"].contains($0) }
            plan.conditional.removeAll { $0.call == "clone" }
        }
        if watchesPaths {
            plan.allowed.removeAll(where: SyscallSet.paths.contains)
            plan.conditional.removeAll { SyscallSet.paths.contains($0.call) }
            plan.watched += SyscallSet.paths
            if judgesExecs { plan.watched.removeAll(where: SyscallRefusal.judged.contains) }
        }
        if watchesReads, !watchesPaths {
            plan.allowed.removeAll(where: SyscallSet.reads.contains)
            plan.conditional.removeAll { SyscallSet.reads.contains($0.call) }
            plan.watched += SyscallSet.reads
        }
        if watchesOpens, !watchesPaths, !watchesReads {
            plan.conditional.removeAll { SyscallSet.opens.contains($0.call) }
            plan.watched += SyscallSet.opens
        }
        if refusesReservation {
            plan.allowed.removeAll { $0 == "fallocate" }
            plan.unsupported.append("fallocate")
        }
        if judgesExecs {
            plan.allowed.removeAll(where: SyscallRefusal.judged.contains)
        }
        if keepsProcessors {
            plan.allowed.removeAll { $0 == "sched_setaffinity" }
            plan.conditional.removeAll { $0.call == "sched_setaffinity" }
        }
        if keepsAddresses {
            plan.conditional.removeAll { $0.call == "personality" }
            plan.conditional.append(SyscallTable.plainAddresses)
        }
        if seedsRandomness { plan.watch(["getrandom"]) }
        if reversesListings { plan.watch(["getdents64"]) }
        if stopsClock {
            plan.watch(["clock_gettime", "gettimeofday", "time", "futex"])
            plan.conditional += [SyscallTable.otherClocks, SyscallTable.otherWaits]
        }
        if watchesConnects {
            plan.allowed.removeAll { $0 == "connect" }
            plan.watched.append("connect")
        }
        return plan
    }

    /// Calls that open a file by its name.
    public static let opens = ["open", "openat", "creat"]

    /// Calls after which what a file held is somewhere else: in the command's memory, or under another name.
    public static let reads = opens + ["truncate", "link", "linkat", "rename", "renameat", "renameat2"]

    /// Calls that name a file, and those by which one process holds another.
    public static let paths =
        opens + [
            "stat", "lstat", "newfstatat", "statx", "access", "faccessat", "faccessat2", "readlink", "readlinkat",
            "chdir",
            "truncate", "chmod", "fchmodat", "mkdir", "mkdirat", "unlink", "unlinkat", "rmdir", "symlink", "symlinkat",
            "link", "linkat", "rename", "renameat", "renameat2", "ptrace", "process_vm_writev",
        ]

    /// What a program may map at once without being looked at.
    public static let smallMapping: UInt64 = 1 << 20
}

extension SyscallPlan.Test {
    static func int(_ argument: UInt32, _ value: UInt32) -> SyscallPlan.Test {
        .init(argument: argument, mask: 0xffff_ffff, value: UInt64(value))
    }

    static func atMost(_ argument: UInt32, _ value: UInt64) -> SyscallPlan.Test {
        .init(argument: argument, mask: .max, value: value, isAtMost: true)
    }

    static func without(_ argument: UInt32, bits: UInt64) -> SyscallPlan.Test {
        .init(argument: argument, mask: bits, value: 0)
    }
}

/// Refusals that the supervisor answers, by name. Anything else that isn't allowed doesn't exist: ENOSYS.
public enum SyscallRefusal {
    /// EPERM: calls that change the machine, leave the sandbox or reach other processes' secrets.
    public static let dangerous: Set<String> = judged.union(always)

    /// EPERM where execs are judged, else allowed.
    public static let judged: Set<String> = ["ptrace", "process_vm_writev"]

    /// Never allowed.
    public static let always: Set<String> = [
        "acct", "add_key", "adjtimex", "bpf", "chroot", "clock_adjtime", "clock_settime", "clone",
        "delete_module", "fanotify_init", "fanotify_mark", "finit_module", "fsconfig", "fsmount", "fsopen", "fspick",
        "init_module", "ioperm", "iopl", "kexec_file_load", "kexec_load", "keyctl", "lookup_dcookie", "memfd_secret",
        "mount", "mount_setattr", "move_mount", "name_to_handle_at", "nfsservctl", "open_by_handle_at", "open_tree",
        "perf_event_open", "pivot_root", "prctl", "personality", "quotactl", "quotactl_fd", "reboot", "request_key",
        "setdomainname", "sethostname", "setns", "settimeofday", "socket", "socketpair", "stime", "swapoff", "swapon",
        "sysfs", "syslog", "umount", "umount2", "unshare", "userfaultfd", "vhangup", "vm86", "vm86old",
        "migrate_pages", "move_pages", "pidfd_getfd", "kcmp", "process_madvise",
        "open", "openat", "creat", "mkdir", "mkdirat", "mknod", "mknodat", "chmod", "fchmod", "fchmodat",
        "prlimit64", "renameat2", "setrlimit",
    ]
}
