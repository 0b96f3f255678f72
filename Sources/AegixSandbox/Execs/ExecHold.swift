// Side effects: ptrace. Holds threads from the answer of their notification until what they exec'd was looked at.

import AegixSystem
import CAegix
import Glibc

/// The held threads. Never two of one thread group: a thread that execs waits in the kernel for the others to end, the held
/// ones for us, and a second hold in that group would wait for the first.
final class ExecHold {
    enum Stop {
        /// Loaded, and not one instruction of it has run. `former` is the thread that called.
        case exec(pid_t, former: pid_t)
        /// Followed: at the beginning or the end of a system call.
        case call(pid_t)
    }

    private var held: Set<pid_t> = []
    private var killed: Set<pid_t> = []
    /// Let go at its next stop, whatever it is.
    private var unwanted: Set<pid_t> = []

    var isEmpty: Bool { held.isEmpty }
    func holds(_ thread: pid_t) -> Bool { held.contains(thread) }

    func take(_ thread: pid_t) throws(SystemError) {
        unwanted.remove(thread)
        if held.contains(thread) { return }
        if aegix_hold(thread) < 0 { throw SystemError.last("ptrace") }
        held.insert(thread)
    }

    /// Another held thread of the same group, if there is one.
    func other(inGroupOf thread: pid_t) -> pid_t? {
        let others = held.filter { $0 != thread }
        if others.isEmpty { return nil }
        guard let group = ProcessFacts.group(thread) else { return nil }
        return others.first { ProcessFacts.group($0) == group }
    }

    /// Its exec has failed, or it never got to one: it is let go as soon as it stops.
    func letGo(_ thread: pid_t) {
        guard held.contains(thread) else { return }
        unwanted.insert(thread)
        aegix_hold_interrupt(thread)
    }

    func release(_ thread: pid_t, signal: Int32 = 0) {
        aegix_hold_release(thread, signal)
        forget(thread)
    }

    func step(_ thread: pid_t, signal: Int32 = 0) {
        if aegix_hold_step(thread, signal) < 0 { release(thread, signal: signal) }
    }

    /// Of a stopped one, so the number is surely its own.
    func kill(_ thread: pid_t) {
        killed.insert(thread)
        Glibc.kill(thread, SIGKILL)
    }

    /// The next stop that means something; the rest is dealt with on the way. `isFollowed`: whether a thread goes on call by
    /// call where it would be let go else.
    func next(isFollowed: (pid_t) -> Bool) -> Stop? {
        while true {
            var stop = aegix_hold_stop()
            aegix_hold_next(&stop)
            let thread = stop.thread
            switch aegix_hold_kind(rawValue: stop.kind) {
            case AEGIX_HOLD_NONE:
                reap()
                return nil
            case AEGIX_HOLD_EXEC:
                // Under the number of the group's first thread, which the caller has become.
                held.remove(stop.former)
                unwanted.remove(stop.former)
                held.insert(thread)
                return .exec(thread, former: stop.former)
            case AEGIX_HOLD_CALL where !unwanted.contains(thread): return .call(thread)
            default:
                if killed.contains(thread) {
                    // Its end may take one more stop.
                    aegix_hold_step(thread, SIGKILL)
                } else if stop.kind == AEGIX_HOLD_STOPPED.rawValue, isFollowed(thread), !unwanted.contains(thread) {
                    aegix_hold_listen(thread)
                } else if isFollowed(thread), !unwanted.contains(thread) {
                    step(thread, signal: stop.signal)
                } else {
                    // At a stop of any other kind no exec is under way: it failed, or it will be asked for again.
                    release(thread, signal: stop.signal)
                }
            }
        }
    }

    /// What has ended is ours to reap before its parent can.
    private func reap() {
        for thread in held where aegix_hold_reap(thread) != 0 { forget(thread) }
    }

    private func forget(_ thread: pid_t) {
        held.remove(thread)
        killed.remove(thread)
        unwanted.remove(thread)
    }
}
