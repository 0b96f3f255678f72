// Pure. Tables: what would allow what.

import AegixPolicy
import AegixSystem

/// A limit that was reached: twice as much.
enum LimitAdvice {
    static func wider(_ limit: String, than value: JSON?) -> Explanation.Remedy? {
        guard let text = value?.string, let now = UInt64(text), now > 0 else { return nil }
        let (double, isTooMuch) = now.multipliedReportingOverflow(by: 2)
        if isTooMuch { return nil }
        let shown: String
        switch limit {
        case "wall", "cpu_time", "grace": shown = "\"\(TimeSpan.text(double))\""
        case "memory", "disk", "output": shown = "\"\(ByteSize.text(double))\""
        case "cpus": shown = Processors.text(double)
        default: shown = String(double)
        }
        let option = options[limit].map { "\($0) \(shown.filter { $0 != "\"" })" }
        return .change(option: option, edit: "[limits]\n\(limit) = \(shown)")
    }

    private static let options = ["wall": "--timeout", "memory": "--memory", "cpus": "--cpus", "pids": "--pids"]
}

/// What kept a run from starting: most messages say it themselves.
enum FailureAdvice {
    static func text(_ code: String) -> String? {
        switch code {
        case "command.missing": return "install the program, correct its name, or show its directory with --read DIR"
        case "command.refused": return "make the file executable, or name its interpreter"
        case "tier.namespaces": return "`aegix doctor` says what is missing; --require confined accepts less"
        case "tier.cgroup": return "`aegix doctor` says what is missing; --require isolated accepts less"
        default: return nil
        }
    }
}

/// A system call that the filter refuses: why, and what a program can do instead.
struct CallAdvice {
    var reason: String
    var remedy: Explanation.Remedy
    /// The key of the policy that decides on it.
    var key: String?

    static func find(_ rule: String) -> CallAdvice {
        let call = String(rule.prefix { $0 != "(" })
        if let exact = exact[rule] { return exact }
        for (calls, advice) in groups where calls.contains(call) { return advice }
        if rule.hasSuffix("(setuid)") || rule.hasSuffix("setuid)") {
            return never("a setuid or setgid bit would give the file's owner's rights to whoever runs it")
        }
        return never("it isn't on the list of calls that a sandboxed program may make")
    }

    private static func never(_ reason: String) -> CallAdvice {
        CallAdvice(reason: reason, remedy: .never("no policy allows it; most programs do without"))
    }

    private static let exact: [String: CallAdvice] = [
        "ioctl(TIOCSTI)": never("it types into the caller's terminal"),
        "ioctl(TIOCLINUX)": never("it reads and types into the console"),
        "socket(AF_PACKET)": never("it sends and sees raw packets"),
        "socket(AF_VSOCK)": never("it reaches the hypervisor around the empty network"),
        "socket(AF_ALG)": never("it drives the kernel's crypto code, a large surface of attack"),
        "socket(AF_UNIX)": CallAdvice(
            reason: "tier confined has no namespace that would keep it from the host's sockets",
            remedy: .advice("run where namespaces can be had: `aegix doctor`")),
        "socket(AF_INET)": CallAdvice(
            reason: "tier confined has no network of its own",
            remedy: .advice("run where namespaces can be had: `aegix doctor`")),
        "socket(AF_INET6)": CallAdvice(
            reason: "tier confined has no network of its own",
            remedy: .advice("run where namespaces can be had: `aegix doctor`")),
        "sched_setaffinity": CallAdvice(
            reason: "`limits.cpus` is held by it here", remedy: .change(option: nil, edit: "[limits]\ncpus = \"none\""),
            key: "limits.cpus"),
        "fcntl(F_SETPIPE_SZ)": CallAdvice(
            reason: "`limits.memory` counts pipes here, and their size is part of it",
            remedy: .change(option: nil, edit: "[limits]\nmemory = \"none\""), key: "limits.memory"),
    ]

    private static let groups: [(Set<String>, CallAdvice)] = [
        (
            [
                "clone", "clone3", "unshare", "setns", "mount", "umount2", "pivot_root", "chroot", "fsopen", "fsmount",
                "move_mount",
                "open_tree", "mount_setattr", "fsconfig",
            ],
            never(
                "namespaces and mounts of its own would be a way around the sandbox's (a browser or a container tool needs them: "
                    + "start it without its own sandbox)")
        ),
        (
            ["ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp"],
            never("it reads or changes other processes (a debugger needs it)")
        ),
        (
            [
                "bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register",
                "kexec_load", "init_module",
                "finit_module", "delete_module",
            ],
            never("it is a large and often broken part of the kernel")
        ),
        (["add_key", "request_key", "keyctl"], never("keyrings are shared with the host")),
        (
            ["shmget", "shmat", "shmctl", "semget", "semop", "semctl", "msgget", "msgsnd", "msgrcv", "mq_open"],
            never("it would be a channel between runs; shared memory by mmap and memfd_create works")
        ),
        (["mknod", "mknodat"], never("a device node would open the device")),
        (["prlimit64", "setrlimit"], never("core dumps and limits of other processes stay as the policy set them")),
        (["setsockopt"], never("the option isn't on the list of those that programs need")),
        (
            [
                "reboot", "swapon", "swapoff", "settimeofday", "clock_settime", "adjtimex", "clock_adjtime",
                "sethostname",
                "setdomainname", "acct", "quotactl", "syslog",
            ],
            never("it changes the machine")
        ),
    ]
}
