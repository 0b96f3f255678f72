// Side effects: one poll loop over everything that a run needs, until nothing of it is left.

import AegixNetwork
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
        let wanted = plan.commands.judges || plan.determinism.hidesVDSO ? signals + [SIGCHLD] : signals
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
        var failed: Failure?
        var connects: ConnectWatch?
        do throws(Failure) { connects = try network(plan, sandbox) } catch { failed = error }
        let loop = RunLoop(
            plan: plan, io: io, sandbox: sandbox, streams: streams, cgroup: cgroup, connects: connects, began: began)
        do throws(Failure) {
            if let failed { throw failed }
            try loop.sandbox.release(plan)
            let logs = try observer.starting()
            aegix_page_say(&sandbox.page.pointee.recorded)
            if let relay = connects?.relay {
                try relay.connect()
                aegix_page_say(&sandbox.page.pointee.connected)
            }
            streams.output.log = logs.stdout
            streams.errors.log = logs.stderr
            if logs.stdin >= 0 {
                streams.input.log = InputLog(logs.stdin, limit: plan.limits.output, secrets: io.redactor)
            }
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

    /// The relay is in the sandbox's namespaces before anything of it changes.
    private static func network(_ plan: Plan, _ sandbox: Sandbox) throws(Failure) -> ConnectWatch? {
        if plan.confined != nil || plan.network.mode == .host { return nil }
        let log = NetworkLog()
        guard plan.network.mode.isRelayed else { return ConnectWatch(log: log, relay: nil) }
        let relay = try Relay(plan.network, log: log, pid: sandbox.pid)
        aegix_page_say(&sandbox.page.pointee.joined)
        return ConnectWatch(log: log, relay: relay)
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
