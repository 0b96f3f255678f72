// Side effects: reads the memory of processes that wait in a notification, and answers them.

import AegixPlan
import AegixSystem
import CAegix
import Glibc

/// Answers what the filter didn't allow: an exec goes on and is recorded, anything else is refused and recorded.
/// What is read here is for the record; nothing is decided by it, so a caller that changes it meanwhile gains nothing.
final class ExecWatch {
    private let listener: Descriptor
    private let root: Descriptor
    private let plan: Plan
    private let confined: ConfinedCalls?
    private let execve: Int32
    private let execveat: Int32
    private let memory: MemoryRequests?
    private let processes: ProcessRequests?
    private let connects: ConnectWatch?
    private let connect: Int32
    private let opens: OpenWatch?
    private let paths: PathWatch?
    private let judge: ExecJudge?
    private let pins: ExecPins?
    private let pinned: PinnedCalls?
    private var known: SystemNames
    /// Places of the command's program that were tried.
    private var tries = 0
    private(set) var execs: UInt64 = 0

    /// Bounds of what one exec may put into the record.
    static let mostArguments = 1024
    static let mostBytes = 16384

    enum Seen {
        case nothing
        /// The first exec is the command's own and brings its file.
        case exec(ExecEvent, program: ProgramFile?)
        case refused(Violation)
        /// By a limit of the policy's.
        case limit(Violation, Outcome.Limit)
        case execLimit(ExecEvent)
        /// By a command rule; the command's own exec is the first.
        case denied(ExecEvent, Violation, isCommand: Bool)
        case ask(ExecQuestion)
    }

    init(
        listener: consuming Descriptor, root: consuming Descriptor, plan: Plan, init pid: pid_t, cache: CacheDirectory,
        connects: ConnectWatch?, sightings: Sightings? = nil
    ) {
        aegix_notice_wake_locally(listener.raw)
        confined = plan.tier == .confined ? ConfinedCalls(plan, init: pid, root: root.raw) : nil
        processes = plan.limitPlan.watch.requests.map { ProcessRequests(limit: $0, root: root.raw) }
        // Only what the filter hands over for that: elsewhere the same calls are for others to judge.
        let isWatched = plan.syscalls.watchesReads || plan.syscalls.watchesPaths
        paths = isWatched ? sightings.map { PathWatch($0, plan: plan, root: root.raw) } : nil
        let random = plan.determinism.seed.map { SeededRandom(seed: $0, isConfined: plan.tier == .confined) }
        let image = plan.determinism.hidesVDSO ? ImagePin(random: random) : nil
        pinned = PinnedCalls(plan.determinism, random: random, listener: listener.raw)
        judge =
            plan.commands.judges
            ? ExecJudge(plan, listener: listener.raw, root: root.raw, cache: cache, image: image) : nil
        pins = judge == nil ? image.map { ExecPins($0, listener: listener.raw) } : nil
        self.listener = listener
        self.root = root
        self.plan = plan
        known = SystemNames(beside: plan.views)
        execve = SyscallFilter.number(of: "execve")
        execveat = SyscallFilter.number(of: "execveat")
        connect = SyscallFilter.number(of: "connect")
        self.connects = connects
        memory = plan.limitPlan.watch.data.map(MemoryRequests.init)
        opens = plan.masked.isEmpty || confined != nil ? nil : OpenWatch(plan.masked)
    }

    var pollable: Int32 { listener.raw }

    /// When somebody is to be answered who waits by a clock that stands; nil: nobody.
    var nextTurn: UInt64? { pinned?.nextTurn }
    func turn() { pinned?.turn() }

    /// The file of the command's program, as the sandbox sees it, to be digested while it runs.
    final class ProgramFile {
        let path: Bytes
        let file: Descriptor

        init(path: Bytes, file: consuming Descriptor) {
            self.path = path
            self.file = file
        }
    }

    private func programFile(_ path: Bytes) -> ProgramFile {
        // Unreadable, it has no digest: the record says null.
        ProgramFile(
            path: path,
            file: Descriptor(owning: path.withCString { aegix_open_in_root(root.raw, $0, O_RDONLY | O_NONBLOCK) }))
    }

    func next() -> Seen {
        var notice = aegix_notice()
        if aegix_notice_receive(listener.raw, &notice) != 1 { return .nothing }
        if notice.call == execve || notice.call == execveat { return exec(notice) }
        if let pinned, pinned.answer(notice, listener: listener.raw) { return .nothing }
        if let connects, notice.call == connect {
            connects.see(notice, listener: listener.raw)
            return .nothing
        }
        let (isPath, isOpen) = (paths?.isOne(notice) == true, opens?.isOne(notice) == true)
        if isPath || isOpen {
            // Nothing is decided by what is read: the mask refuses.
            if isPath { paths?.see(notice) }
            let refused = isOpen ? opens?.refusal(notice) : nil
            // Gone meanwhile, what was read may be another's.
            if aegix_notice_continue(listener.raw, notice.id) != 0 { return .nothing }
            return refused.map(Seen.refused) ?? .nothing
        }
        // First, since what it refuses must not be let through for being small.
        let refusal: SyscallAnswer
        switch confined?.answer(notice, listener: listener.raw) {
        case .result(let code):
            _ = aegix_notice_refuse(listener.raw, notice.id, code)
            return .nothing
        case .proceed:
            _ = aegix_notice_continue(listener.raw, notice.id)
            return .nothing
        case .refused(let rule): refusal = SyscallAnswer(errno: EPERM, rule: rule)
        case nil:
            if let processes, processes.isOne(notice) {
                if !processes.answer(notice, listener: listener.raw) { return .nothing }
                return .limit(violation("limits", "limits.pids", EAGAIN, notice), .pids)
            }
            if let memory, memory.isOne(notice.call) {
                if !memory.answer(notice, listener: listener.raw) { return .nothing }
                return .limit(violation("limits", "limits.memory", ENOMEM, notice), .memory)
            }
            refusal = SyscallFilter.refusal(notice)
        }
        if aegix_notice_refuse(listener.raw, notice.id, refusal.errno) < 0 { return .nothing }
        guard refusal.recorded else { return .nothing }
        return .refused(violation("seccomp", refusal.rule, refusal.errno, notice))
    }

    private func violation(_ control: String, _ rule: String, _ errno: Int32, _ notice: aegix_notice) -> Violation {
        Violation(
            control: control, rule: rule, errno: errno, count: 1, firstTime: Clock.realtime(),
            firstPid: Int32(bitPattern: notice.pid))
    }

    private func exec(_ notice: aegix_notice) -> Seen {
        let isCommand = execs == 0
        if let judge { return judged(notice, judge, isCommand: isCommand) }
        if let pins, pins.postpones(notice) { return .nothing }
        let shift = notice.call == execveat ? 1 : 0
        let pid = pid_t(bitPattern: notice.pid)
        var memory = RemoteMemory(pid)
        var path: Bytes? = isCommand ? nil : memory.string(address(notice, shift), limit: 4096)
        let arguments = isCommand ? (plan.command.argv, false) : memory.strings(address(notice, shift + 1))
        if let limit = plan.limits.execs, execs >= limit {
            let parent = ProcessFacts.parent(pid)
            if aegix_notice_refuse(listener.raw, notice.id, EPERM) != 0 { return .nothing }
            return .execLimit(event(pid, parent, path ?? [], arguments))
        }
        // Looked up before it goes on: a short command's end takes the sandbox's root with it.
        if isCommand {
            path = found()
        } else if let name = path {
            path = resolve(name, notice, pid)
        }
        if let path { paths?.lookAt(program: path) }
        let command = isCommand ? path.map { programFile($0) } : nil
        let parent = ProcessFacts.parent(pid)
        // A caller killed meanwhile may have left its number to another: what was read is then not its own.
        if let pins, path != nil {
            switch pins.goOn(notice) {
            case .on: break
            case .gone: return .nothing
            case .refused:
                return .refused(violation("determinism", "an exec whose caller can't be held", EACCES, notice))
            }
        } else if aegix_notice_continue(listener.raw, notice.id) != 0 {
            return .nothing
        }
        // From here on the caller runs, and we only write down.
        guard let path else { return .nothing }  // no such file: a search along PATH, not an exec
        execs += 1
        return .exec(event(pid, parent, path, arguments), program: command ?? .none)
    }

    // MARK: - By rules

    private func judged(_ notice: aegix_notice, _ judge: ExecJudge, isCommand: Bool) -> Seen {
        if let limit = plan.limits.execs, execs >= limit {
            let pid = pid_t(bitPattern: notice.pid)
            _ = aegix_notice_refuse(listener.raw, notice.id, EPERM)
            return .execLimit(event(pid, ProcessFacts.parent(pid), [], ([], false)))
        }
        if !isCommand {
            look(notice)
            return seen(judge.exec(notice))
        }
        // The child tries those that are there, in their order.
        let there = plan.command.candidates.filter(exists)
        guard tries < there.count else {
            _ = aegix_notice_refuse(listener.raw, notice.id, ENOENT)
            return .nothing
        }
        tries += 1
        if let path = canonical(there[tries - 1]) { paths?.lookAt(program: path) }
        return seen(judge.command(notice, candidate: there[tries - 1], argv: plan.command.argv))
    }

    private func look(_ notice: aegix_notice) {
        guard let paths else { return }
        let pid = pid_t(bitPattern: notice.pid)
        let shift = notice.call == execveat ? 1 : 0
        if let name = RemoteMemory.string(pid, address(notice, shift), limit: 4096),
            let path = resolve(name, notice, pid)
        {
            paths.lookAt(program: path)
        }
    }

    /// What the held threads came to, after a SIGCHLD.
    func collect() -> [Seen] {
        if let judge { return judge.collect().map(seen) }
        guard let found = pins?.collect() else { return [] }
        let ended = found.ended.map { pid in
            Seen.refused(
                Violation(
                    control: "determinism", rule: "a program that can't be changed at its start", errno: 0, count: 1,
                    firstTime: Clock.realtime(), firstPid: pid))
        }
        return ended + found.next.map(exec)
    }

    func answer(_ question: ExecQuestion, _ approval: Approval) -> Seen {
        judge.map { seen($0.answer(question, approval)) } ?? .nothing
    }

    private func seen(_ answer: ExecJudge.Answer) -> Seen {
        switch answer {
        case .nothing: return .nothing
        case .ask(let question): return .ask(question)
        case .denied(let event, let violation):
            paths?.denied(program: event.program)
            return .denied(event, violation, isCommand: execs == 0)
        case .allowed(let event):
            execs += 1
            return .exec(event, program: execs == 1 ? programFile(event.program) : nil)
        }
    }

    /// The candidate that is there. Each is asked once: a sandbox that is ended takes its root away meanwhile.
    private func found() -> Bytes? {
        for candidate in plan.command.candidates {
            if let path = canonical(candidate) { return path }
        }
        return nil
    }

    private func event(_ pid: pid_t, _ parent: Int32?, _ program: Bytes, _ arguments: ([Bytes], Bool)) -> ExecEvent {
        ExecEvent(
            time: Clock.realtime(), pid: pid, parent: parent, program: program, argv: arguments.0,
            argvCut: arguments.1)
    }

    private func exists(_ path: Bytes) -> Bool {
        let raw = path.withCString { aegix_open_in_root(root.raw, $0, Descriptor.pathOnly) }
        if raw < 0 { return false }
        close(raw)
        return true
    }

    /// The file's path inside, through symlinks. nil: there is none.
    private func resolve(_ name: Bytes, _ notice: aegix_notice, _ pid: pid_t) -> Bytes? {
        if name.isEmpty || (notice.call == execveat && !Path.isAbsolute(name)) {
            // A descriptor of the caller's: its link says what it is, a memfd for one.
            let number = Int32(truncatingIfNeeded: notice.arguments.0)
            let link = number == AT_FDCWD ? "cwd" : "fd/\(number)"
            guard let base = ProcessFacts.link(pid, link) else { return name.isEmpty ? nil : name }
            return name.isEmpty ? base : exists(Path.join(base, name)) ? Path.normalized(Path.join(base, name)) : nil
        }
        var path = name
        if !Path.isAbsolute(name) {
            guard let cwd = ProcessFacts.link(pid, "cwd") else { return name }
            path = Path.join(cwd, name)
        }
        if paths != nil, Path.normalized(path) == Bytes("/proc/self/exe") {
            return ProcessFacts.link(pid, "exe") ?? path
        }
        if Path.contains(Bytes("/proc"), Path.normalized(path)) { return path }  // magic links lead anywhere
        return canonical(path)
    }

    private func canonical(_ path: Bytes) -> Bytes? {
        if let known = known.name(of: path) { return known }
        let found = lookUp(path)
        known.learn(path, found)
        return found
    }

    private func lookUp(_ path: Bytes) -> Bytes? {
        let raw = path.withCString { aegix_open_in_root(root.raw, $0, Descriptor.pathOnly) }
        if raw < 0 { return errno == ENOENT || errno == ENOTDIR ? nil : path }
        let file = Descriptor(owning: raw)
        do { return try HostSurvey.canonical(file.raw) } catch { return path }
    }

    private func address(_ notice: aegix_notice, _ index: Int) -> UInt64 {
        [notice.arguments.0, notice.arguments.1, notice.arguments.2][index]
    }
}
