// Pure data. The calls that programs of real life make, by name, and the conditions on those that could do more.

import AegixSystem

public enum SyscallTable {
    static let allowed: [String] = words(
        """
        read write close stat fstat lstat newfstatat fstatat64 poll lseek mmap mprotect munmap brk rt_sigaction
        rt_sigprocmask rt_sigreturn pread64 pwrite64 readv writev access pipe select sched_yield mremap msync mincore
        madvise dup dup2 pause nanosleep getitimer alarm setitimer getpid sendfile connect accept sendto recvfrom
        sendmsg recvmsg shutdown bind listen getsockname getpeername getsockopt fork vfork exit wait4 kill
        uname fcntl flock fsync fdatasync truncate ftruncate getdents getcwd chdir fchdir rename rmdir link unlink
        symlink readlink chown fchown lchown fchownat umask gettimeofday getrlimit getrusage sysinfo times getuid getgid setuid
        setgid geteuid getegid setpgid getppid getpgrp setsid setreuid setregid getgroups setgroups setresuid
        getresuid setresgid getresgid getpgid setfsuid setfsgid getsid capget capset rt_sigpending rt_sigtimedwait
        rt_sigqueueinfo rt_sigsuspend sigaltstack utime statfs fstatfs getpriority setpriority sched_setparam
        sched_getparam sched_setscheduler sched_getscheduler sched_get_priority_max sched_get_priority_min
        sched_rr_get_interval mlock munlock mlockall munlockall arch_prctl sync gettid readahead setxattr lsetxattr
        fsetxattr getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr removexattr lremovexattr fremovexattr
        tkill time futex sched_setaffinity sched_getaffinity set_thread_area get_thread_area epoll_create
        epoll_ctl_old epoll_wait_old remap_file_pages getdents64 set_tid_address restart_syscall semtimedop fadvise64
        timer_create timer_settime timer_gettime timer_getoverrun timer_delete clock_gettime clock_getres
        clock_nanosleep exit_group epoll_wait epoll_ctl tgkill utimes mbind set_mempolicy get_mempolicy mq_open
        mq_unlink mq_timedsend mq_timedreceive mq_notify mq_getsetattr waitid ioprio_set ioprio_get inotify_init
        inotify_add_watch inotify_rm_watch renameat futimesat linkat symlinkat readlinkat unlinkat faccessat pselect6
        ppoll set_robust_list get_robust_list splice tee sync_file_range vmsplice utimensat epoll_pwait signalfd
        timerfd_create eventfd fallocate timerfd_settime timerfd_gettime accept4 signalfd4 eventfd2 epoll_create1 dup3
        pipe2 inotify_init1 preadv pwritev rt_tgsigqueueinfo recvmmsg syncfs sendmmsg getcpu process_vm_readv
        process_vm_writev ptrace sched_setattr sched_getattr seccomp getrandom memfd_create membarrier
        mlock2 copy_file_range preadv2 pwritev2 pkey_mprotect pkey_alloc pkey_free statx rseq pidfd_send_signal
        pidfd_open close_range faccessat2 epoll_pwait2 landlock_create_ruleset landlock_add_rule
        landlock_restrict_self process_mrelease futex_waitv shmget shmat shmctl shmdt semget semop semctl msgget
        msgsnd msgrcv msgctl
        """)

    /// Newer than the library's tables may be; numbers are the same on every processor since Linux 5.1.
    static let allowedNumbers: [Int32] = [
        450,  // set_mempolicy_home_node
        451,  // cachestat
        453,  // map_shadow_stack
        454, 455, 456,  // futex_wake, futex_wait, futex_requeue
        462,  // mseal
    ]

    static let absent = ["clone3", "openat2", "io_uring_setup", "io_uring_enter", "io_uring_register"]

    static let absentNumbers: [Int32] = [
        452,  // fchmodat2: glibc falls back to fchmodat, whose mode the filter reads
        457, 458,  // statmount, listmount
    ]

    private static func words(_ text: String) -> [String] {
        text.utf8.split { $0 == 0x20 || $0 == 0x0A }.map { String(decoding: $0, as: UTF8.self) }
    }

    /// CLONE_NEWNS and all of its kind.
    public static let namespaceFlags: UInt64 = 0x7e02_0000

    /// S_ISUID | S_ISGID: never in a mode that reaches the disk.
    private static let setID: UInt64 = 0o6000

    static let conditional: [SyscallPlan.Conditional] = [
        mode("chmod", 1), mode("fchmod", 1), mode("fchmodat", 2), mode("creat", 1), mode("mkdir", 1),
        mode("mkdirat", 2), opening("open", flags: 1, mode: 2), opening("openat", flags: 2, mode: 3),
        node("mknod", 1), node("mknodat", 2),
        // Without RENAME_WHITEOUT, which makes a device.
        .init(call: "renameat2", alternatives: [[.without(4, bits: 4)]]),
        // Threads and processes, but no namespaces.
        .init(call: "clone", alternatives: [[.without(0, bits: namespaceFlags)]]),
        .init(
            call: "socket",
            // Unix; IPv4 and IPv6 with TCP and UDP, whose modules are there anyway; netlink's routes, read by libraries.
            alternatives: [[.int(0, 1)], [.int(0, 16), .int(2, 0)]]
                + [2, 10].flatMap { family in [0, 6, 17].map { [.int(0, family), .int(2, $0)] } }),
        .init(call: "socketpair", alternatives: [[.int(0, 1)]]),
        .init(call: "personality", alternatives: [0, 0xffff_ffff, 0x0004_0000].map { [.int(0, $0)] }),
        .init(call: "prctl", alternatives: processControls.map { [.int(0, $0)] }),
        .init(call: "ioctl", alternatives: deviceControls.map { [.int(1, $0)] }),
        .init(
            call: "setsockopt",
            alternatives: socketOptions.flatMap { level, names in names.map { [.int(1, level), .int(2, $0)] } }),
        // RLIMIT_CORE stays 1: at 0 a piped core handler of the host's would start. Others' limits, pid 1's among them,
        // can be read only.
        .init(
            call: "prlimit64",
            alternatives: [[.init(argument: 2, mask: .max, value: 0)]]
                + limitsButCore.map { [.int(0, 0), .int(1, $0)] }),
        .init(call: "setrlimit", alternatives: limitsButCore.map { [.int(0, $0)] }),
    ]

    /// Memory that no limit could refuse: small, not writable, or shared, which the watchdog counts when it is used.
    static let smallMemory: [SyscallPlan.Conditional] = [
        .init(
            call: "mmap",
            alternatives: [
                [.atMost(1, SyscallSet.smallMapping)], [.without(2, bits: 2)],  // PROT_WRITE
                [.init(argument: 3, mask: 0xf, value: 1)], [.init(argument: 3, mask: 0xf, value: 3)],  // MAP_SHARED
            ]),
        .init(call: "mprotect", alternatives: [[.atMost(1, SyscallSet.smallMapping)], [.without(2, bits: 2)]]),
        .init(call: "pkey_mprotect", alternatives: [[.atMost(1, SyscallSet.smallMapping)], [.without(2, bits: 2)]]),
        .init(call: "mremap", alternatives: [[.atMost(2, SyscallSet.smallMapping)]]),
        // Without F_SETPIPE_SZ: a pipe holds what it holds by default.
        .init(
            call: "fcntl",
            alternatives: [[.atMost(1, 1030)], [.init(argument: 1, mask: 0xffff_ffff, value: 1032)]]
                + (1033...1042).map { [.int(1, $0)] }),
    ]

    /// A question, and what is set already.
    static let plainAddresses = SyscallPlan.Conditional(
        call: "personality", alternatives: [0xffff_ffff, 0x0004_0000].map { [.int(0, $0)] })

    /// All but those that tell the time of day: CLOCK_REALTIME, its coarse and its alarm's one, CLOCK_TAI. Negative numbers are
    /// the clocks of processes and descriptors.
    static let otherClocks = SyscallPlan.Conditional(
        call: "clock_gettime",
        alternatives: [1, 2, 3, 4, 6, 7, 9].map { [.int(0, $0)] }
            + [[.init(argument: 0, mask: 0x8000_0000, value: 0x8000_0000)]])

    /// All but those that end at a time of day: FUTEX_CLOCK_REALTIME with a time.
    static let otherWaits = SyscallPlan.Conditional(
        call: "futex", alternatives: [[.without(1, bits: 0x100)], [.init(argument: 3, mask: .max, value: 0)]])

    private static func mode(_ call: String, _ argument: UInt32) -> SyscallPlan.Conditional {
        .init(call: call, alternatives: [[.without(argument, bits: setID)]])
    }

    /// Without O_CREAT and O_TMPFILE the mode means nothing and may be anything.
    private static func opening(_ call: String, flags: UInt32, mode: UInt32) -> SyscallPlan.Conditional {
        .init(call: call, alternatives: [[.without(flags, bits: 0x40_0040)], [.without(mode, bits: setID)]])
    }

    /// Files, FIFOs and sockets; no devices.
    private static func node(_ call: String, _ argument: UInt32) -> SyscallPlan.Conditional {
        let kinds: [UInt64] = [0, 0o100000, 0o010000, 0o140000]
        return .init(
            call: call,
            alternatives: kinds.map { [.init(argument: argument, mask: 0o170000 | setID, value: $0)] })
    }

    private static let limitsButCore: [UInt32] = [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]

    private static let processControls: [UInt32] = [
        1, 2, 3, 4,  // death signal, dumpable
        7, 8, 13, 14, 15, 16, 19, 21, 22, 23, 24, 25, 26, 27,  // keep caps, timing, name, seccomp, bounding set, TSC
        29, 30, 33, 34, 36, 37, 38, 39, 40, 41, 42,  // slack, machine check, subreaper, no new privs, huge pages
        47, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 63, 64, 65, 66,  // ambient, vector, speculation, tags
        0x5356_4d41, 0x5961_6d61,  // names of mappings, Yama's tracer
    ]

    private static let deviceControls: [UInt32] =
        Array(0x5401...0x540d)  // TCGETS … TIOCNXCL
        + [
            0x540e, 0x540f, 0x5410, 0x5411, 0x5413, 0x5414, 0x5415, 0x5418, 0x5419, 0x541a, 0x541b, 0x5420, 0x5421,
            0x5422, 0x5424, 0x5425, 0x5427, 0x5428, 0x5429, 0x5432,  // without TIOCSTI 0x5412 and TIOCLINUX 0x541c
            0x5450, 0x5451, 0x5452, 0x5460,  // close-on-exec, async, size
            0x802c_542a, 0x402c_542b, 0x402c_542c, 0x402c_542d,  // TCGETS2 …
            0x8004_5430, 0x4004_5431, 0x8004_5438, 0x8004_5439, 0x8004_5440, 0x5441,  // pseudo-terminals
            0x4004_9409, 0x4020_940d, 0xc018_9436, 0xc020_660b,  // clones, deduplication, extents
            0x8008_6601, 0x8010_6602, 0x801c_581f,  // attributes, read only
            0x8912, 0x8913, 0x8915, 0x8917, 0x8919, 0x891b, 0x891d, 0x8921, 0x8927, 0x8933, 0x8910, 0x8942, 0x8946,
            0x8903, 0x8904, 0x8905, 0x8906, 0x8907,  // interfaces, read only; marks, timestamps
        ]

    private static let socketOptions: [(UInt32, [UInt32])] = [
        (
            1,  // SOL_SOCKET, without filters (26, 27, 50, 51) and SO_DEBUG
            [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15, 16, 18, 19, 20, 21, 25, 29, 30, 34, 35, 37, 44, 45, 46, 47]
                + [49, 60, 63, 64, 65, 66, 67, 69, 70]
        ),
        (6, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 16, 17, 18, 20, 21, 23, 24, 25, 27, 30, 33, 36, 37]),  // TCP
        (0, [1, 2, 3, 4, 6, 7, 8, 10, 11, 12, 13, 14, 15, 19, 20, 21, 24, 32, 33, 34, 35, 36, 49, 50, 51]),  // IP
        (41, [16, 17, 18, 19, 20, 21, 23, 24, 25, 26, 49, 50, 51, 52, 56, 60, 61, 62, 66, 67, 70, 72, 75]),  // IPv6
        (17, [1, 101, 102, 103, 104]),  // UDP
        (270, [1, 2, 3, 4, 5, 10, 11, 12]),  // netlink
    ]
}
