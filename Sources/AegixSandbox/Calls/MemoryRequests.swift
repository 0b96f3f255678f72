// Side effects: reads /proc of processes that wait in a notification, and answers them.

import AegixPlan
import AegixSystem
import CAegix
import Glibc

/// Requests for memory that are large enough to be refused by a limit. What is refused here the kernel's own limit would
/// refuse, too: this is where the record learns of it. System V memory, which no limit of the kernel's covers, is added up.
final class MemoryRequests {
    private let limit: UInt64
    private let mmap = SyscallFilter.number(of: "mmap")
    private let mremap = SyscallFilter.number(of: "mremap")
    private let protect = [SyscallFilter.number(of: "mprotect"), SyscallFilter.number(of: "pkey_mprotect")]
    private let segment = SyscallFilter.number(of: "shmget")
    private let queue = SyscallFilter.number(of: "msgget")
    private let semaphores = SyscallFilter.number(of: "semget")
    /// Asked for by System V calls so far; what was given back isn't taken off.
    private var reserved: UInt64 = 0

    /// What one queue holds by default.
    private static let queueBytes: UInt64 = 16384

    init(limit: UInt64) { self.limit = limit }

    func isOne(_ call: Int32) -> Bool { ([mmap, mremap, segment, queue, semaphores] + protect).contains(call) }

    /// Answers the call. Whether it was refused.
    func answer(_ notice: aegix_notice, listener: Int32) -> Bool {
        let refused = exceeds(notice)
        // A caller that is gone by now needs no answer.
        _ =
            refused
            ? aegix_notice_refuse(listener, notice.id, ENOMEM) : aegix_notice_continue(listener, notice.id)
        return refused
    }

    private func exceeds(_ notice: aegix_notice) -> Bool {
        let arguments = notice.arguments
        let pid = pid_t(bitPattern: notice.pid)
        switch notice.call {
        case mmap: return isMore(data(pid), arguments.1)
        case mremap:
            if arguments.2 <= arguments.1 || !isMore(data(pid), arguments.2 - arguments.1) { return false }
            return access(pid, arguments.0)?.last == UInt8(ascii: "p")
        case let call where protect.contains(call):
            // What was reserved, such as a thread's stack, becomes memory.
            guard isMore(data(pid), arguments.1), let access = access(pid, arguments.0) else { return false }
            return access.last == UInt8(ascii: "p") && !access.contains(UInt8(ascii: "w"))
        case segment: return reserve(arguments.1)
        case queue: return reserve(MemoryRequests.queueBytes)
        case semaphores: return reserve(UInt64(UInt32(truncatingIfNeeded: arguments.1)) * 64)
        default: return false
        }
    }

    private func reserve(_ bytes: UInt64) -> Bool {
        if isMore(reserved, bytes) { return true }
        reserved += bytes
        return false
    }

    /// Than the limit, together; `more` is the command's own word.
    private func isMore(_ used: UInt64, _ more: UInt64) -> Bool { used > limit || more > limit - used }

    /// As the kernel's limit counts it. 0 of a process that is gone.
    private func data(_ pid: pid_t) -> UInt64 {
        let proc = Descriptor(owning: open("/proc", Descriptor.pathOnly | O_CLOEXEC))
        var task = aegix_task_facts()
        return aegix_watch_task(proc.raw, pid, &task) < 0 ? 0 : task.data
    }

    /// `rw-p` of the mapping there. nil: there is none, or the process is gone.
    private func access(_ pid: pid_t, _ address: UInt64) -> Bytes? {
        do {
            let maps = try Descriptor.open(Bytes("/proc/\(pid)/maps"), O_RDONLY).readAll(limit: 16 << 20)
            for line in maps.split(separator: UInt8(ascii: "\n")) {
                let words = line.split(separator: UInt8(ascii: " "), maxSplits: 2)
                let ends = words.first?.split(separator: UInt8(ascii: "-")) ?? []
                guard words.count > 1, ends.count == 2, let from = hex(ends[0]), let to = hex(ends[1]) else { continue }
                if from <= address, address < to { return Bytes(words[1]) }
            }
        } catch {
            return nil
        }
        return nil
    }

    private func hex(_ digits: ArraySlice<UInt8>) -> UInt64? {
        UInt64(String(decoding: digits, as: UTF8.self), radix: 16)
    }
}
