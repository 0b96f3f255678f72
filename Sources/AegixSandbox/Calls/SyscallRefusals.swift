// Pure but for libseccomp's tables. What a refused call is answered, and under which name it is recorded.

import AegixPlan
import CAegix
import CSeccomp
import Glibc

struct SyscallAnswer {
    var errno: Int32
    var rule: String
    /// Probing of optional features is answered without a word: a program asks and goes on.
    var recorded = true
}

extension SyscallFilter {
    static func number(of name: String) -> Int32 { seccomp_syscall_resolve_name(name) }

    static func refusal(_ notice: aegix_notice) -> SyscallAnswer {
        let name = name(of: notice.call)
        let arguments = notice.arguments
        func int(_ value: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: value) }
        switch name {
        case "ioctl":
            switch int(arguments.1) {
            case 0x5412: return SyscallAnswer(errno: EPERM, rule: "ioctl(TIOCSTI)")
            case 0x541c: return SyscallAnswer(errno: EPERM, rule: "ioctl(TIOCLINUX)")
            default: return SyscallAnswer(errno: ENOTTY, rule: "ioctl", recorded: false)
            }
        case "setsockopt":
            return SyscallAnswer(errno: ENOPROTOOPT, rule: "setsockopt(\(int(arguments.1)), \(int(arguments.2)))")
        case "prctl":
            switch int(arguments.0) {
            case 28: return SyscallAnswer(errno: EPERM, rule: "prctl(PR_SET_SECUREBITS)")
            case 35: return SyscallAnswer(errno: EPERM, rule: "prctl(PR_SET_MM)")
            default: return SyscallAnswer(errno: EINVAL, rule: "prctl", recorded: false)
            }
        case "socket" where [2, 10].contains(int(arguments.0)) && int(arguments.2) == 262:
            return SyscallAnswer(errno: EPROTONOSUPPORT, rule: "socket(IPPROTO_MPTCP)", recorded: false)
        case "socket", "socketpair": return SyscallAnswer(errno: EPERM, rule: "\(name)(\(family(int(arguments.0))))")
        case "clone": return SyscallAnswer(errno: EPERM, rule: "clone(namespaces)")
        case "prlimit64", "setrlimit":
            return SyscallAnswer(errno: EPERM, rule: "\(name)(RLIMIT_CORE or another process)")
        case "sched_setaffinity": return SyscallAnswer(errno: EPERM, rule: name)
        case "fcntl": return SyscallAnswer(errno: EPERM, rule: "fcntl(F_SETPIPE_SZ)")
        case "mknod", "mknodat": return SyscallAnswer(errno: EPERM, rule: "\(name)(device or setuid)")
        case "open", "openat", "creat", "mkdir", "mkdirat", "chmod", "fchmod", "fchmodat":
            return SyscallAnswer(errno: EPERM, rule: "\(name)(setuid)")
        default:
            let code = SyscallRefusal.dangerous.contains(name) ? EPERM : ENOSYS
            return SyscallAnswer(errno: code, rule: name)
        }
    }

    private static func family(_ number: UInt32) -> String {
        switch number {
        case 1: "AF_UNIX"
        case 2: "AF_INET"
        case 10: "AF_INET6"
        case 16: "AF_NETLINK"
        case 17: "AF_PACKET"
        case 38: "AF_ALG"
        case 40: "AF_VSOCK"
        case 44: "AF_XDP"
        default: String(number)
        }
    }
}
