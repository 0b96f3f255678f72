// Side effects: reads memory and descriptors of a held thread. That an interpreter opens the script that was judged.

import AegixSystem
import CAegix
import Glibc

/// A script is opened a second time, by its interpreter and by name, after the kernel has read its first line. Where the
/// sandbox could put another file in between, the interpreter is followed call by call until it has opened it.
final class ExecFollower {
    struct Script: Equatable {
        /// As the interpreter is told.
        var word: Bytes
        var identity: ExecFile.Identity
    }

    private struct State {
        var script: Script
        var calls = 0
        /// Calls since the script was opened: some look into a file before they run it.
        var since: Int?
        var opens = false
    }

    enum Verdict {
        case goOn, done
        case another
    }

    private var states: [pid_t: State] = [:]
    private let opening: Set<Int64>

    private static let most = 5000
    private static let quiet = 100

    init() {
        opening = Set(["open", "openat", "openat2"].map { Int64(SyscallFilter.number(of: $0)) })
    }

    func isFollowed(_ thread: pid_t) -> Bool { states[thread] != nil }
    func script(of thread: pid_t) -> Script? { states[thread]?.script }

    func begin(_ thread: pid_t, _ script: Script) { states[thread] = State(script: script) }
    func endAll() { states.removeAll() }
    func end(_ thread: pid_t) { states[thread] = nil }

    func look(_ thread: pid_t) -> Verdict {
        var call = aegix_hold_call()
        guard var state = states[thread] else { return .done }
        if aegix_hold_call(thread, &call) < 0 { return .another }
        if call.is_end == 0 {
            state.opens = opening.contains(call.number_or_result) && path(thread, call) == state.script.word
        } else if state.opens {
            state.opens = false
            if call.number_or_result >= 0 {
                var facts = stat()
                let place = Bytes("/proc/\(thread)/fd/\(call.number_or_result)")
                if place.withCString({ stat($0, &facts) }) < 0 || ExecFile.Identity(facts) != state.script.identity {
                    return .another
                }
                state.since = 0
            }
        }
        state.calls += 1
        state.since = state.since.map { $0 + 1 }
        states[thread] = state
        if state.calls > ExecFollower.most || (state.since ?? 0) > ExecFollower.quiet {
            states[thread] = nil
            return .done
        }
        return .goOn
    }

    private func path(_ thread: pid_t, _ call: aegix_hold_call) -> Bytes? {
        let isOld = call.number_or_result == Int64(SyscallFilter.number(of: "open"))
        return RemoteMemory.string(thread, isOld ? call.arguments.0 : call.arguments.1, limit: 4096)
    }
}
