// Side effects: polls, kills, reaps. The only place where a running sandbox is waited for.

import AegixNetwork
import AegixPlan
import AegixPolicy
import AegixSystem
import CAegix
import Glibc

/// The state of one run between start and end.
final class RunLoop {
    let plan: Plan
    let io: RunIO
    let sandbox: Sandbox
    let streams: RunStreams
    let cgroup: RunCgroup?
    let connects: ConnectWatch?
    /// Where there is no network.
    private var closedNames: ClosedNames?
    let began: UInt64
    /// What ends a run from our side, first come.
    private(set) var ending: Ending?
    var failure: Failure?

    var watch: ExecWatch?
    /// The command's own process: the leader of the group that most of what it starts stays in.
    private var command = Descriptor.none
    var root = Descriptor.none
    private var watchdog: Watchdog?
    /// Can be asked what the sandbox's sockets hold.
    private var sockets = Descriptor.none
    /// Until then the tree is stopped, being ahead of its share of the processors.
    var stoppedUntil: UInt64?
    private var digest: ProgramDigest?
    private var program: Bytes?
    private var killAt: UInt64?
    var asking: Asking?
    var questions = 0
    /// Behind the one that is asked.
    var unasked: [Question] = []
    /// Nanoseconds that somebody was asked: no time of the command's.
    var paused: UInt64 = 0
    private var endedAt: UInt64 = 0
    private var handedOver = false
    /// Nobody waits for an answer any more.
    var isGone = false
    private var watchEnded = false

    enum Ending: Equatable {
        case limit(Outcome.Limit)
        case signal(Int32)
        /// The command itself, by a rule.
        case denied(rule: String)
    }

    init(
        plan: Plan, io: RunIO, sandbox: Sandbox, streams: RunStreams, cgroup: RunCgroup?,
        connects: ConnectWatch?, began: UInt64
    ) {
        self.plan = plan
        self.io = io
        self.sandbox = sandbox
        self.streams = streams
        self.cgroup = cgroup
        self.connects = connects
        self.began = began
    }

    // MARK: - Ending

    func kill() {
        watchdog?.measureTime()
        // pid 1 takes everything with it, but has to be scheduled for that, behind whatever fills the processors.
        if command.isOpen { aegix_pidfd_kill_group(command.raw) }
        sandbox.end()
    }

    /// SIGTERM to everything inside, then the grace, then the end. Only the first reason counts.
    private func end<Observer: RunObserver>(_ reason: Ending, grace: Bool, _ observer: inout Observer) {
        if ending != nil { return }
        ending = reason
        if let asking { answer(asking.cancel(), &observer) }
        endedAt = Clock.monotonic()
        if case .limit(let limit) = reason { observer.limit(limit) }
        if grace, plan.limits.grace > 0 {
            _ = aegix_pidfd_signal(sandbox.pidfd.raw, SIGTERM)
            killAt = Clock.monotonic() &+ plan.limits.grace
        } else {
            kill()
        }
    }

    // MARK: - The loop

    private enum Slot: Int, CaseIterable {
        case ended, signal, handover, notice, output, errors, outputSink, errorSink, inputSource, inputPipe, keyboard
        case typing, echo, echoSink, network, names, askedFrom, askedTo, askedEnd
    }

    /// Until pid 1 is gone, and with it every process of the sandbox, and everything it wrote was delivered.
    func run<Observer: RunObserver>(signals: Int32, observer: inout Observer) {
        var slots = [pollfd](repeating: pollfd(fd: -1, events: 0, revents: 0), count: Slot.allCases.count)
        var ended = false
        while true {
            if ended {
                drain()
                if !streams.output.isWaiting && !streams.errors.isWaiting { return }
            }
            prepare(&slots, signals: signals, ended: ended)
            let ready = wait(&slots, until: earlier(nextDeadline(ended: ended), streams.releaseAt))
            func isReady(_ slot: Slot) -> Bool { ready > 0 && slots[slot.rawValue].revents != 0 }
            if isReady(.notice) {
                // Hung up: nobody is left whom the filter holds.
                if slots[Slot.notice.rawValue].revents & Int16(POLLIN) != 0 {
                    notice(&observer)
                } else {
                    watchEnded = true
                }
            }
            if isReady(.network) || connects?.relay?.isBusy == true || isNetworkDue { connects?.relay?.turn() }
            if isReady(.names) { closedNames?.answer() }
            if !ended, asking == nil, watch?.nextTurn != nil { watch?.turn() }
            askOfNames(&observer)
            tellNetwork(&observer)
            if isReady(.output) { _ = streams.output.receive() }
            if isReady(.errors) { _ = streams.errors.receive() }
            if isReady(.echo) { _ = streams.echo.receive() }
            if isReady(.echoSink) { streams.echo.deliver() }
            if isReady(.outputSink) { streams.output.deliver() }
            if isReady(.errorSink) { streams.errors.deliver() }
            if streams.output.isOverLimit || streams.errors.isOverLimit { overOutput(&observer) }
            if isReady(.inputSource) || isReady(.inputPipe) { streams.input.pump() }
            if isReady(.keyboard) || isReady(.typing) { streams.type() }
            if isReady(.handover) { handover() }
            if isReady(.signal) { signal(signals, &observer) }
            if isReady(.ended) {
                ended = true
                isGone = true
                if let asking { answer(asking.cancel(), &observer) }
                if sandbox.isConfined { RunTree.endOrphans(but: sandbox.pid) }
            }
            if streams.releaseAt != nil { streams.release(now: Clock.monotonic()) }
            checkTime(ended: ended, &observer)
            if ready == 0 { digestStep() }
        }
    }

    private func prepare(_ slots: inout [pollfd], signals: Int32, ended: Bool) {
        func set(_ slot: Slot, _ descriptor: Int32, _ events: Int32 = POLLIN) {
            slots[slot.rawValue] = pollfd(fd: descriptor, events: Int16(events), revents: 0)
        }
        set(.ended, ended ? -1 : sandbox.pidfd.raw)
        set(.signal, signals)
        set(.handover, handedOver || ended ? -1 : sandbox.control.raw)
        set(.notice, ended || watchEnded || asking != nil ? -1 : watch?.pollable ?? -1)
        set(.output, streams.output.pollable)
        set(.errors, streams.errors.pollable)
        set(.echo, streams.echo.pollable)
        set(.echoSink, streams.echo.isWaiting ? streams.echo.sinkDescriptor : -1, POLLOUT)
        set(.outputSink, streams.output.isWaiting ? streams.output.sinkDescriptor : -1, POLLOUT)
        set(.errorSink, streams.errors.isWaiting ? streams.errors.sinkDescriptor : -1, POLLOUT)
        set(.inputSource, ended ? -1 : streams.input.readable)
        set(.inputPipe, ended ? -1 : streams.input.writable, POLLOUT)
        set(.keyboard, ended || asking != nil ? -1 : streams.keyboard)
        set(.network, ended ? -1 : connects?.relay?.pollable ?? -1)
        set(.names, ended ? -1 : closedNames?.pollable ?? -1)
        set(.typing, ended ? -1 : streams.typing, POLLOUT)
        set(.askedFrom, asking?.readable ?? -1)
        set(.askedTo, asking?.writable ?? -1, POLLOUT)
        set(.askedEnd, asking?.ending ?? -1)
    }

    private func wait(_ slots: inout [pollfd], until deadline: UInt64?) -> Int32 {
        if digest?.isDone == false || connects?.relay?.isBusy == true {
            return poll(&slots, nfds_t(slots.count), 0)
        }
        guard let deadline else { return poll(&slots, nfds_t(slots.count), -1) }
        let now = Clock.monotonic()
        let left = deadline > now ? deadline - now : 0
        var time = timespec(tv_sec: Int(left / 1_000_000_000), tv_nsec: Int(left % 1_000_000_000))
        return aegix_poll(&slots, slots.count, &time)
    }

    /// Until when a caller that doesn't read may hold up the rest of the output: the run's deadline, or a moment after
    /// aegix was told to end.
    private var deliveryEnd: UInt64? {
        let wall = sandbox.deadline == 0 ? nil : sandbox.deadline &+ paused
        guard case .signal = ending else { return wall }
        let told = endedAt &+ plan.limits.grace &+ 1_000_000_000
        return wall.map { min($0, told) } ?? told
    }

    private var wallEnd: UInt64? { plan.limits.wall.map { began &+ $0 &+ paused } }

    private func earlier(_ one: UInt64?, _ other: UInt64?) -> UInt64? {
        guard let one, let other else { return one ?? other }
        return min(one, other)
    }

    private func nextDeadline(ended: Bool) -> UInt64? {
        if ended { return deliveryEnd }
        if ending != nil { return [killAt, connects?.relay?.nextLook, watch?.nextTurn].compactMap { $0 }.min() }
        if let asking { return [asking.deadline, connects?.relay?.nextLook].compactMap { $0 }.min() }
        return [connects?.relay?.nextLook, wallEnd, stoppedUntil ?? watchdog?.nextLook, watch?.nextTurn].compactMap {
            $0
        }.min()
    }

    private func checkTime<Observer: RunObserver>(ended: Bool, _ observer: inout Observer) {
        let now = Clock.monotonic()
        if ended {
            // The run's time is over, and a caller that doesn't read can't make it longer.
            if let end = deliveryEnd, now >= end {
                streams.output.abandon()
                streams.errors.abandon()
            }
            return
        }
        if let killAt, now >= killAt {
            self.killAt = nil
            kill()
        }
        if ending != nil { return }
        if let asking {
            if let approval = asking.step(now: now) { answer(approval, &observer) }
            return
        }
        if let wallEnd, now >= wallEnd { return end(.limit(.wall), grace: true, &observer) }
        if let until = stoppedUntil {
            if now < until { return }
            resume()
        }
        if let due = watchdog?.nextLook, now >= due { watch(now, &observer) }
    }

    private func watch<Observer: RunObserver>(_ now: UInt64, _ observer: inout Observer) {
        switch watchdog?.look(now: now) {
        case .over(let limit): end(.limit(limit), grace: limit == .cpuTime, &observer)
        case .ahead(let time):
            _ = aegix_pidfd_signal(sandbox.pidfd.raw, Int32(AEGIX_STOP_ALL))
            stoppedUntil = now + time
        case .fine, nil: break
        }
    }

    private func resume() {
        stoppedUntil = nil
        _ = aegix_pidfd_signal(sandbox.pidfd.raw, Int32(AEGIX_CONTINUE_ALL))
    }

    private func overOutput<Observer: RunObserver>(_ observer: inout Observer) {
        if plan.limits.onOutput == .kill { end(.limit(.output), grace: false, &observer) }
    }

    /// Every writer is dead: what is left in the pipes is the rest.
    private func drain() {
        while !streams.echo.isWaiting, streams.echo.receive() {}
        while !streams.output.isWaiting, streams.output.receive() {}
        while !streams.errors.isWaiting, streams.errors.receive() {}
    }

    private var isNetworkDue: Bool {
        connects?.relay?.nextLook.map { $0 <= Clock.monotonic() } ?? false
    }

    func tellNetwork<Observer: RunObserver>(_ observer: inout Observer) {
        guard let log = connects?.log, log.hasNews else { return }
        for event in log.takeFresh() { observer.network(event) }
        for event in log.takeDenials() { observer.refused(event.violation) }
    }

    // MARK: - What comes in

    private func signal<Observer: RunObserver>(_ signals: Int32, _ observer: inout Observer) {
        var number: UInt32 = 0
        while aegix_read_signal(signals, &number) == 0 {
            if Int32(number) == SIGWINCH {
                streams.resize()
            } else if Int32(number) == SIGCHLD {
                collect(&observer)
            } else {
                end(.signal(Int32(number)), grace: true, &observer)
            }
        }
    }

    private func handover() {
        var listener: Int32 = -1
        var view: Int32 = -1
        var terminal: Int32 = -1
        // 0: the child ended first, and its page says why.
        let came = aegix_receive_handover(sandbox.control.raw, 0, &listener, &view, &terminal)
        if came == 2 {
            sockets = Descriptor(owning: listener)
            return
        }
        if came == 3 {
            let names = Descriptor(owning: listener)
            if let log = connects?.log {
                closedNames = ClosedNames(names, hostname: plan.determinism.hostname, log: log)
            }
            return
        }
        handedOver = true
        if came != 1 { return }
        let viewed = Descriptor(owning: view)
        let again = aegix_duplicate(viewed.raw)
        if again < 0 {
            failure = Failure("launch.handover", "can't watch the sandbox", SystemError.last("fcntl"))
            return kill()
        }
        root = Descriptor(owning: again)
        watch = ExecWatch(
            listener: Descriptor(owning: listener), root: viewed, plan: plan, init: sandbox.pid, cache: io.cache,
            connects: connects, sightings: io.sightings)
        do throws(SystemError) {
            watchdog = try Watchdog(
                plan.limitPlan, layer: plan.layer, root: root.raw, sockets: sockets.raw, initial: sandbox.pid,
                processors: plan.processors, tree: sandbox.isConfined ? RunTree(of: sandbox.pid) : nil,
                now: Clock.monotonic())
        } catch {
            failure = Failure("launch.watch", "can't watch the limits of the sandbox", error)
            return kill()
        }
        if watchdog?.nextLook != nil { aegix_wake_early() }
        if terminal >= 0 {
            do throws(Failure) {
                try streams.take(terminal: Descriptor(owning: terminal))
            } catch {
                failure = error
                kill()
            }
        }
    }

    private func notice<Observer: RunObserver>(_ observer: inout Observer) {
        if let seen = nextNotice() { take(seen, &observer) }
    }

    private func collect<Observer: RunObserver>(_ observer: inout Observer) {
        for seen in asOwner({ watch?.collect() }) ?? [] { take(seen, &observer) }
    }

    func take<Observer: RunObserver>(_ seen: ExecWatch.Seen, _ observer: inout Observer) {
        switch seen {
        case .nothing: return
        case .exec(let event, let file):
            let isFirst = !command.isOpen
            observer.exec(event)
            if isFirst { command = Descriptor(owning: aegix_pidfd(event.pid)) }
            if let file { began(file) }
            if isFirst { observer.started() }
        case .refused(let violation): observer.refused(violation)
        case .limit(let violation, let limit):
            watchdog?.meet(limit)
            observer.refused(violation)
        case .execLimit(let event):
            observer.exec(event)
            end(.limit(.execs), grace: false, &observer)
        case .denied(let event, let violation, let isCommand):
            observer.exec(event)
            observer.refused(violation)
            if isCommand { end(.denied(rule: violation.rule), grace: false, &observer) }
        case .ask(let question): ask(.exec(question), &observer)
        }
    }

    // MARK: - What the watch sees

    private func nextNotice() -> ExecWatch.Seen? { asOwner { watch?.next() } }

    /// As the command's own user, who may look into its processes where root in a container may not.
    func asOwner<T>(_ body: () -> T?) -> T? {
        guard let owner = plan.confined?.owner else { return body() }
        do throws(Failure) {
            return try Impersonation.acting(as: owner, body)
        } catch {
            failure = error
            kill()
            return nil
        }
    }

    private func began(_ file: ExecWatch.ProgramFile) {
        program = file.path
        digest = ProgramDigest(
            file: file, cacheable: Path.contains(Bytes("/usr"), file.path), cache: io.cache)
    }

    private func digestStep() {
        if digest?.isDone == false, digest?.step() == false { digest = nil }
    }

    // MARK: - The end

    func finish() -> RunResult {
        // A run that was ended doesn't wait for it either.
        while ending == nil, digest?.isDone == false { digestStep() }
        var usage = Usage()
        var used = aegix_usage()
        let reaped = aegix_reap(sandbox.pid, &used) == 0
        usage.userNanoseconds = used.user_ns
        usage.systemNanoseconds = used.system_ns
        usage.peakResidentBytes = used.peak_bytes
        usage.execs = watch?.execs ?? 0
        if let seen = watchdog?.processorTime, seen.total > usage.userNanoseconds + usage.systemNanoseconds {
            usage.userNanoseconds = seen.user
            usage.systemNanoseconds = seen.system
        }
        var cgroupError: SystemError?
        if let cgroup {
            usage.take(cgroup.read())
            do throws(SystemError) { try cgroup.remove() } catch { cgroupError = error }
        }
        if let relay = connects?.relay {
            if ending == nil, failure == nil { relay.drain(for: 1_000_000_000) }
            relay.end()
        }
        streams.input.finish()
        let input = streams.input.summary()
        streams.restore()
        let page = sandbox.page.pointee
        aegix_page_unmap(sandbox.page)
        if failure == nil, page.stage != AEGIX_STAGE_NONE.rawValue, ending == nil {
            failure = LaunchFailure.child(stage: page.stage, index: Int(page.index), errno: page.error, plan: plan)
        }
        var passed = ending == nil && failure == nil ? watchdog?.finish() : nil
        var met = watchdog?.met ?? []
        // Its own limit, not the machine's lack of memory.
        if usage.cgroup.ooms ?? 0 > 0, usage.cgroup.oomKills ?? 0 > 0 { passed = .memory }
        if usage.cgroup.pidsRefused ?? 0 > 0 { met.append(.pids) }
        let outcome = RunEndDecision(
            failure: failure, ending: ending, page: page, initStatus: reaped ? used.status : nil,
            limits: plan.limits, passed: passed, met: met, reached: watchdog?.reached ?? []
        ).outcome
        return RunResult(
            outcome: outcome, usage: usage, network: connects?.log.events ?? [],
            networkLeftOut: connects?.log.leftOut ?? 0, stdout: streams.output.finish(),
            stderr: streams.errors.finish(), input: input,
            program: program, programDigest: digest?.digest, stdin: streams.input.mechanism,
            logError: streams.output.logError ?? streams.errors.logError ?? streams.input.log?.error,
            cgroupError: cgroupError,
            failure: failure)
    }
}
