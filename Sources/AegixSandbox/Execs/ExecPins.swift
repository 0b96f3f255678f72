// Side effects: ptrace. Holds each exec until what a new program is told of the system was made the same each time.

import AegixSystem
import CAegix
import Glibc

/// What is changed of a new image before its first instruction: the vDSO goes, and the 16 random bytes are the seed's.
struct ImagePin {
    let random: SeededRandom?

    /// Of a process at its exec stop.
    func apply(to pid: pid_t) -> Bool {
        guard let random else { return aegix_hold_pin(pid, nil) == 0 }
        guard let bytes = random.bytes(16, for: pid) else { return false }
        return aegix_hold_pin(pid, bytes) == 0
    }
}

/// For runs whose execs nobody judges. An exec whose caller can't be held is refused: its program would see the real clock.
final class ExecPins {
    private let listener: Int32
    private let image: ImagePin
    private let hold = ExecHold()
    /// Behind another held thread of their group.
    private var waiting: [aegix_notice] = []

    init(_ image: ImagePin, listener: Int32) {
        self.image = image
        self.listener = listener
    }

    /// Whether it has to come again, behind another one.
    func postpones(_ notice: aegix_notice) -> Bool {
        guard let other = hold.other(inGroupOf: pid_t(bitPattern: notice.pid)) else { return false }
        waiting.append(notice)
        hold.letGo(other)
        return true
    }

    enum Going {
        case on, gone
        case refused
    }

    func goOn(_ notice: aegix_notice) -> Going {
        let pid = pid_t(bitPattern: notice.pid)
        do throws(SystemError) {
            try hold.take(pid)
        } catch {
            if aegix_notice_valid(listener, notice.id) == 0 { return .gone }
            return aegix_notice_refuse(listener, notice.id, EACCES) == 0 ? .refused : .gone
        }
        // Now the number can't go to another any more; was it still the caller's?
        if aegix_notice_valid(listener, notice.id) == 0 || aegix_notice_continue(listener, notice.id) != 0 {
            hold.letGo(pid)
            return .gone
        }
        return .on
    }

    /// After a SIGCHLD: those that couldn't be changed and were ended for it, and those whose turn it is.
    func collect() -> (ended: [pid_t], next: [aegix_notice]) {
        var ended: [pid_t] = []
        while let stop = hold.next(isFollowed: { _ in false }) {
            switch stop {
            case .exec(let pid, _):
                if image.apply(to: pid) {
                    hold.release(pid)
                } else {
                    ended.append(pid)
                    hold.kill(pid)
                }
            case .call(let thread): hold.release(thread)
            }
        }
        let next = waiting.filter { aegix_notice_valid(listener, $0.id) != 0 }
        waiting = []
        return (ended, next)
    }
}
