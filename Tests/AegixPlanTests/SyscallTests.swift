// Pure. The tables of system calls: consistent with each other, and their tests see what the kernel sees.

import Testing

@testable import AegixPlan

struct SyscallTests {
    private let plan = SyscallSet.standard.plan
    /// Of mode arguments, by call; creating ones take flags first.
    private static let modes: [String: Int] = [
        "chmod": 1, "fchmod": 1, "fchmodat": 2, "creat": 1, "mkdir": 1, "mkdirat": 2, "open": 2, "openat": 3,
        "mknod": 1, "mknodat": 2,
    ]

    private func isAllowed(_ call: String, _ arguments: [Int: UInt64]) throws -> Bool {
        let conditional = try #require(plan.conditional.first { $0.call == call })
        return conditional.alternatives.contains { tests in
            tests.allSatisfy { arguments[Int($0.argument), default: 0] & $0.mask == $0.value }
        }
    }

    // MARK: - The tables

    @Test func noCallIsInTwoTables() {
        let conditional = plan.conditional.map(\.call)
        let all = plan.allowed + conditional + plan.absent + plan.watched
        let twice = Dictionary(grouping: all, by: { $0 }).filter { $1.count > 1 }.keys.sorted()
        #expect(twice == [])
        let numbers = plan.allowedNumbers + plan.absentNumbers
        #expect(Set(numbers).count == numbers.count)
    }

    @Test func whatIsWatchedIsntAllowedBesides() {
        var set = SyscallSet.standard
        set.watchesReads = true
        set.watchesOpens = true
        let plan = set.plan
        let all = plan.allowed + plan.conditional.map(\.call) + plan.absent + plan.watched
        let twice = Dictionary(grouping: all, by: { $0 }).filter { $1.count > 1 }.keys.sorted()
        #expect(twice == [])
        #expect(Set(SyscallSet.reads).isSubset(of: plan.watched))
        #expect(set.key != SyscallSet.standard.key)
    }

    @Test func nothingDangerousIsAllowed() {
        #expect(SyscallRefusal.always.intersection(plan.allowed + plan.absent + plan.watched) == [])
    }

    @Test(arguments: [
        "unshare", "setns", "mount", "umount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "fsopen",
        "fsmount", "fsconfig", "mount_setattr", "bpf", "perf_event_open", "userfaultfd", "keyctl", "add_key",
        "request_key", "init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot",
        "swapon", "swapoff", "settimeofday", "clock_settime", "adjtimex", "sethostname", "setdomainname", "iopl",
        "ioperm", "open_by_handle_at", "name_to_handle_at", "syslog", "acct", "quotactl", "pidfd_getfd", "kcmp",
        "fanotify_init", "process_madvise", "move_pages", "migrate_pages", "memfd_secret",
    ])
    func isRefused(_ call: String) {
        #expect(SyscallRefusal.dangerous.contains(call))
        #expect(!plan.allowed.contains(call) && !plan.conditional.contains { $0.call == call })
    }

    @Test(arguments: ["clone3", "openat2", "io_uring_setup", "io_uring_enter", "io_uring_register"])
    func isAbsent(_ call: String) {
        #expect(plan.absent.contains(call))
    }

    @Test func modesThatNoTestReadsAreAbsent() {
        #expect(plan.absentNumbers.contains(452), "fchmodat2")
        #expect(!plan.allowed.contains("fchmodat2") && !plan.allowed.contains("openat2"))
    }

    @Test func programsAreWatched() {
        #expect(plan.watched == ["execve", "execveat"])
    }

    // MARK: - The tests

    @Test func everyTestSeesWhatTheKernelSees() {
        // Pointers are compared whole; every other argument is an int, or a mode of fewer bits.
        let pointers: [String: UInt32] = ["prlimit64": 2]
        for conditional in plan.conditional {
            #expect(!conditional.alternatives.isEmpty && conditional.alternatives.allSatisfy { !$0.isEmpty })
            for test in conditional.alternatives.joined() {
                let isPointer = pointers[conditional.call] == test.argument
                #expect(isPointer ? test.mask == .max : test.mask <= 0xffff_ffff, "\(conditional.call)")
                #expect(test.value & ~test.mask == 0 && test.mask != 0 && test.argument < 6, "\(conditional.call)")
            }
        }
    }

    @Test(arguments: modes.keys.sorted())
    func noModeSetsIDs(_ call: String) throws {
        let argument = try #require(Self.modes[call])
        // O_CREAT and O_TMPFILE, each enough for the mode to count; elsewhere argument 0 is a path or a number.
        let flags: [Int: UInt64] = ["open": [1: 0x41], "openat": [2: 0x41]][call] ?? [:]
        let temporary: [Int: UInt64] = ["open": [1: 0x41_0002], "openat": [2: 0x41_0002]][call] ?? [:]
        for upper in [0, 0xffff_ffff_0000_0000] as [UInt64] {
            for creating in [flags, temporary] {
                func allowed(_ mode: UInt64) throws -> Bool {
                    try isAllowed(call, creating.mapValues { $0 | upper }.merging([argument: mode | upper]) { $1 })
                }
                for mode in [0o4755, 0o2755, 0o6777, 0o4000, 0o2000] as [UInt64] {
                    #expect(try !allowed(mode))
                    #expect(try !allowed(mode | 0o100000))
                }
                for mode in [0, 0o755, 0o1777] as [UInt64] { #expect(try allowed(mode)) }
            }
        }
    }

    @Test func everyCallWithAModeIsTested() {
        #expect(Set(Self.modes.keys).isSubset(of: plan.conditional.map(\.call)))
    }

    @Test func openingWithoutMakingIgnoresTheMode() throws {
        for flags in [0, 0x8_0002, 0x1_0000] as [UInt64] {
            #expect(try isAllowed("open", [1: flags, 2: 0o7777]))
            #expect(try isAllowed("openat", [2: flags, 3: .max]))
        }
    }

    @Test(arguments: ["mknod", "mknodat"])
    func noDevicesAreMade(_ call: String) throws {
        let argument = try #require(Self.modes[call])
        for kind in 0..<16 as Range<UInt64> {
            let isFine = [0, 0o1, 0o10, 0o14].contains(kind)  // none, FIFO, regular, socket
            for upper in [0, 0xffff_0000, 0xffff_ffff_0000_0000] as [UInt64] {
                #expect(try isAllowed(call, [argument: kind << 12 | 0o644 | upper]) == isFine)
            }
        }
    }

    @Test func threadsButNoNamespaces() throws {
        #expect(try isAllowed("clone", [0: 0x3d_0f00]))  // pthread_create
        #expect(try isAllowed("clone", [0: 0x0120_0011]))  // fork
        for bit in [17, 25, 26, 27, 28, 29, 30] {
            #expect(try !isAllowed("clone", [0: 1 << bit | 17]))
            #expect(try !isAllowed("clone", [0: 1 << bit | 0xffff_ffff_0000_0011]))
        }
    }

    @Test func socketFamilies() throws {
        for upper in [0, 0xdead_0000_0000] as [UInt64] {
            for family in 0...60 as ClosedRange<UInt64> {
                for number in [0, 1, 2, 4, 6, 15, 16, 17, 58, 132, 255, 262] as [UInt64] {
                    let isFine =
                        switch family {
                        case 1: true
                        case 2, 10: [0, 6, 17].contains(number)
                        case 16: number == 0
                        default: false
                        }
                    #expect(try isAllowed("socket", [0: family | upper, 2: number | upper]) == isFine)
                }
                #expect(try isAllowed("socketpair", [0: family | upper]) == (family == 1))
            }
        }
    }

    @Test func noTerminalIsTypedInto() throws {
        for upper in [0, 1 << 32, 0xffff_ffff_0000_0000] as [UInt64] {
            for request in [0x5412, 0x541c, 0x541d, 0x5423] as [UInt64] {  // TIOCSTI, TIOCLINUX, TIOCCONS, TIOCSETD
                #expect(try !isAllowed("ioctl", [1: request | upper]))
            }
            for request in [0x5401, 0x5413, 0x541b] as [UInt64] {
                #expect(try isAllowed("ioctl", [1: request | upper]))
            }
        }
    }

    @Test func coreLimitsStay() throws {
        #expect(try !isAllowed("setrlimit", [0: 4]) && isAllowed("setrlimit", [0: 7]))
        #expect(try isAllowed("prlimit64", [0: 1, 1: 4, 2: 0]))  // reading
        #expect(try isAllowed("prlimit64", [0: 0, 1: 7, 2: 0x7fff_0000_0000]))
        #expect(try !isAllowed("prlimit64", [0: 0, 1: 4, 2: 0x7fff_0000_0000]))
        #expect(try !isAllowed("prlimit64", [0: 1, 1: 7, 2: 0x7fff_0000_0000]))
    }

    @Test func processControls() throws {
        // PR_SET_SECUREBITS, PR_SET_MM
        for option in [28, 35] as [UInt64] { #expect(try !isAllowed("prctl", [0: option | 1 << 32])) }
        for option in [1, 15, 22, 38] as [UInt64] { #expect(try isAllowed("prctl", [0: option])) }
        #expect(try isAllowed("personality", [0: 0xffff_ffff]))
        #expect(try !isAllowed("personality", [0: 0x0040_0000]))  // READ_IMPLIES_EXEC
    }
}
