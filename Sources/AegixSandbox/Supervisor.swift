// Side effects: one poll loop over everything that a run needs, until nothing of it is left.

import AegixPlan
import AegixPolicy
import AegixSystem
import CAegix
import Glibc

/// Supervision of one run. Stages: connect (streams, signals) ─► start ─► loop ─► end (reap, drain, restore).
/// Not done here: deciding what is allowed (Plan), writing the record (AegixAudit).
public struct Supervisor {
    static let signals: [Int32] = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH]

    public static func run<Observer: RunObserver>(
        _ plan: Plan, io: RunIO, observer: inout Observer
    ) throws(Failure) -> RunResult {
        aegix_ignore_sigpipe()
        if plan.confined != nil, aegix_become_reaper() < 0 {
            throw Failure("launch.confined", "can't take the run's orphans", SystemError.last("prctl"))
        }
        let filter = try SyscallFilter.program(plan.syscalls, cache: io.cache)
        // A held thread that stops is told by SIGCHLD.
        let wanted = plan.commands.judges ? signals + [SIGCHLD] : signals
        let signal = aegix_signalfd(wanted, wanted.count)
        if signal < 0 { throw Failure("launch.signals", "can't watch signals", SystemError.last("signalfd")) }
        let watched = Descriptor(owning: signal)
        let ground = try plan.confined.map { confined throws(Failure) in try ConfinedGround(confined) }
        let copy = try plan.copy.map { copy throws(Failure) in try CopyGround.make(copy) }
        let streams = try RunStreams(io: io, limits: plan.limits)
        let began = Clock.monotonic()
        let deadline = plan.limits.wall.map { began &+ $0 &+ plan.limits.grace } ?? 0
        let cgroup = try cgroup(plan, run: io.run)
        let sandbox: Sandbox
        do throws(Failure) {
            sandbox = try Sandbox.start(
                plan, filter: filter, streams: streams.theirs, size: streams.size, rawOutput: streams.rawOutput,
                deadline: deadline, cgroup: cgroup)
        } catch {
            // The reason why there is no sandbox is the one to tell; a cgroup that stays is swept by the next command.
            do { try cgroup?.remove() } catch {}
            throw error
        }
        streams.closeTheirs()
        let loop = RunLoop(plan: plan, io: io, sandbox: sandbox, streams: streams, cgroup: cgroup, began: began)
        do throws(Failure) {
            try loop.sandbox.release(plan)
            let logs = try observer.starting()
            streams.output.log = logs.stdout
            streams.errors.log = logs.stderr
        } catch {
            loop.kill()
            loop.failure = error
        }
        loop.run(signals: watched.raw, observer: &observer)
        var result = loop.finish()
        do throws(Failure) {
            try ground?.finish(ran: result.program != nil)
            if result.program != nil { try copy?.finish() }
            try copy?.remove()
        } catch {
            result.lateFailure = error
        }
        return result
    }

    /// The kernel's part of the limits, before there is anything to limit.
    private static func cgroup(_ plan: Plan, run: String) throws(Failure) -> RunCgroup? {
        guard let place = plan.cgroup else { return nil }
        let group = plan.limitPlan.group
        return try RunCgroup.make(
            place, run: run,
            limits: CgroupLimits(memory: group?.memory, pids: group?.processes, cpus: group?.cpus))
    }
}
