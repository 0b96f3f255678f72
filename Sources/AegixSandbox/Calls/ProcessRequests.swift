// Side effects: reads the sandbox's own /proc, answers processes that wait in a notification.

import AegixPlan
import AegixSystem
import CAegix
import Glibc

/// Requests for another process or thread, where few are allowed. What is refused here the kernel's own limit would refuse,
/// too: this is where the record learns of it.
final class ProcessRequests {
    private let limit: UInt64
    private let proc: Descriptor
    private let clone = SyscallFilter.number(of: "clone")
    private let forks = [SyscallFilter.number(of: "fork"), SyscallFilter.number(of: "vfork")]

    /// - root: of the sandbox, as it sees it.
    init(limit: UInt64, root: Int32) {
        self.limit = limit
        proc = Descriptor(
            owning: Bytes("proc").withCString { aegix_open_in_root(root, $0, O_RDONLY | O_DIRECTORY) })
    }

    /// A clone into namespaces isn't one: that is refused for what it is.
    func isOne(_ notice: aegix_notice) -> Bool {
        notice.call == clone
            ? notice.arguments.0 & SyscallTable.namespaceFlags == 0 : forks.contains(notice.call)
    }

    /// Answers the call. Whether it was refused.
    func answer(_ notice: aegix_notice, listener: Int32) -> Bool {
        // Unreadable, it can't be counted, and the kernel's limit decides.
        let refused = proc.isOpen && aegix_watch_count(proc.raw) >= limit
        _ =
            refused
            ? aegix_notice_refuse(listener, notice.id, EAGAIN) : aegix_notice_continue(listener, notice.id)
        return refused
    }
}
