// Side effects: makes a run's cgroup, and removes it. Decides no limit and chooses no place.

import AegixPlan
import AegixSystem
import CAegix
import Glibc

/// The cgroup that a sandbox is born in.
///
/// Stages of `make`: the parent, and a shared lock on it; its controllers; the directory, and a lock on it; the limits.
/// The locks say that the run's aegix is alive: the kernel lets go of them however a process ends. So whoever can lock a
/// run's cgroup may remove it (CgroupSweep), whichever state directory its run belongs to; and the parent's controllers
/// are switched off by nobody while another's run needs them.
final class RunCgroup {
    /// Open for reading: CLONE_INTO_CGROUP takes it.
    let directory: Descriptor
    let path: Bytes
    private let parent: Descriptor
    private let name: Bytes
    /// `cgroup.kill`, opened before anything can go wrong.
    private let killer: Descriptor
    private var aside: SteppedAside?
    private let changes: Changes

    /// What wasn't so before: a doctor takes it back. A run leaves it to the next, for which it would be made again.
    struct Changes {
        var madeParent = false
        var enabledInParent: [Bytes] = []
        var enabledAbove: [Bytes] = []
    }

    static let prefix = "aegix-"
    private static let attempts = 3
    private static let patience = 5

    private init(
        _ name: Bytes, _ directory: consuming Descriptor, in parent: consuming Descriptor, path: Bytes,
        killer: consuming Descriptor, aside: SteppedAside?, changes: Changes
    ) {
        self.name = name
        self.directory = directory
        self.parent = parent
        self.path = path
        self.killer = killer
        self.aside = aside
        self.changes = changes
    }

    /// - run: its id, which names the cgroup.
    static func make(_ place: CgroupPlace, run: String, limits: CgroupLimits) throws(Failure) -> RunCgroup {
        do throws(SystemError) {
            var attempt = 1
            while true {
                do throws(SystemError) {
                    return try makeOnce(place, run: run, limits: limits)
                } catch {
                    // Swept between its making and its lock, or the parent went with its last run: once more.
                    let isGone = error.errno == ENOENT || error.errno == ENODEV || error.call == "cgroup.controllers"
                    if attempt == attempts || !isGone { throw error }
                    attempt += 1
                }
            }
        } catch {
            throw failure(place, error)
        }
    }

    private static func makeOnce(
        _ place: CgroupPlace, run: String, limits: CgroupLimits
    ) throws(SystemError) -> RunCgroup {
        var changes = Changes()
        let parent = try openParent(place, &changes)
        // Bounded: whoever can open the directory can lock it.
        try FileLock.wait(parent, LOCK_SH)
        let aside = try prepare(parent, place, run: run, &changes)
        do throws(SystemError) {
            let name = Bytes(prefix + run)
            let directory = try makeLocked(name, in: parent.raw)
            do throws(SystemError) {
                try set(limits, in: directory.raw)
                let killer = try Descriptor.open(Bytes("cgroup.kill"), O_WRONLY | O_NOFOLLOW, at: directory.raw)
                return RunCgroup(
                    name, directory, in: parent, path: Path.join(place.parent, name), killer: killer, aside: aside,
                    changes: changes)
            } catch {
                _ = name.withCString { unlinkat(parent.raw, $0, AT_REMOVEDIR) }  // the first error is the one to tell
                throw error
            }
        } catch {
            // The first error is the one to tell. If this fails, too, aegix stays in a leaf that the next command sweeps.
            do { try aside?.back(parent.raw) } catch {}
            throw error
        }
    }

    private static func openParent(_ place: CgroupPlace, _ changes: inout Changes) throws(SystemError) -> Descriptor {
        let flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW
        do {
            return try Descriptor.open(place.parent, flags)
        } catch {
            if error.errno != ENOENT { throw error }
        }
        // Closed to others, so that nobody else holds the locks in it.
        let made = place.parent.withCString { aegix_mkdirat(AT_FDCWD, $0, 0o700) }
        if made < 0, errno != EEXIST { throw SystemError.last("mkdir", place.parent) }
        changes.madeParent = made == 0
        return try Descriptor.open(place.parent, flags)
    }

    /// The controllers, for what is made in the parent. A level of our own is in between, because the kernel lets nobody
    /// switch off what a cgroup below has switched on: what is above may be a manager's who knows nothing of us.
    ///
    /// Where aegix itself is what stands in their way, it steps aside.
    private static func prepare(
        _ parent: borrowing Descriptor, _ place: CgroupPlace, run: String, _ changes: inout Changes
    ) throws(SystemError) -> SteppedAside? {
        let on = try CgroupFile.words("cgroup.subtree_control", in: parent.raw)
        if CgroupControllers.missing(on).isEmpty { return nil }
        let base = try Descriptor.open(Path.parent(place.parent), O_RDONLY | O_DIRECTORY)
        let above = try CgroupFile.words("cgroup.subtree_control", in: base.raw)
        if place.how != .slice, !CgroupControllers.missing(above).isEmpty, try CgroupFile.holdsOnlyUs(base.raw) {
            // It takes back what it did itself.
            let madeParent = changes.madeParent
            changes.madeParent = false
            return try SteppedAside.make(
                Bytes(prefix + run + SteppedAside.suffix), in: parent.raw, below: base,
                parentName: madeParent ? Path.name(place.parent) : nil)
        }
        changes.enabledAbove = try CgroupControllers.enable(in: base.raw)
        changes.enabledInParent = try CgroupControllers.enable(in: parent.raw)
        return nil
    }

    /// Locked, and still there: one who sweeps may have been between the two, and has removed it by the time that it
    /// gives the lock.
    static func makeLocked(_ name: Bytes, in parent: Int32) throws(SystemError) -> Descriptor {
        // An EEXIST is another run's with the same id, which can't be, or what is left of our own last attempt.
        let made = name.withCString { aegix_mkdirat(parent, $0, 0o700) }
        if made < 0, errno != EEXIST { throw SystemError.last("mkdir", name) }
        let directory = try Descriptor.open(name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, at: parent)
        try FileLock.exclusive(directory)
        var (mine, named) = (aegix_file_facts(), aegix_file_facts())
        if aegix_fstat(directory.raw, &mine) < 0 { throw SystemError.last("fstat", name) }
        if name.withCString({ aegix_fstatat(parent, $0, &named) }) < 0 { throw SystemError.last("fstat", name) }
        if mine.inode != named.inode { throw SystemError("open", name, errno: ENOENT) }
        return directory
    }

    private static func set(_ limits: CgroupLimits, in directory: Int32) throws(SystemError) {
        if let memory = limits.memory {
            // First the swap, then the limit: in between there would be a way around it.
            try switchSwapOff(in: directory)
            try CgroupFile.write(decimal(memory), to: "memory.max", in: directory)
            // All of it or nothing: a run that lost one process isn't what was asked for.
            try CgroupFile.write(Bytes("1"), to: "memory.oom.group", in: directory)
        }
        if let pids = limits.pids { try CgroupFile.write(decimal(pids), to: "pids.max", in: directory) }
        if let cpus = limits.cpus {
            try CgroupFile.write(CgroupLimits.cpuMax(thousandths: cpus), to: "cpu.max", in: directory)
        }
    }

    /// A kernel that doesn't count swap has no such file. Without any swap there is nothing to count either.
    private static func switchSwapOff(in directory: Int32) throws(SystemError) {
        do {
            try CgroupFile.write(Bytes("0"), to: "memory.swap.max", in: directory)
        } catch {
            if error.errno != ENOENT { throw error }
            // The first line is the heading.
            if ProbeFiles.text("/proc/swaps").split(separator: "\n").count > 1 {
                throw SystemError("memory.swap.max", Bytes("memory.swap.max"), errno: ENOTSUP)
            }
        }
    }

    private static func decimal(_ number: UInt64) -> Bytes {
        var text = Bytes()
        text.append(decimal: number)
        return text
    }

    private static func failure(_ place: CgroupPlace, _ error: SystemError) -> Failure {
        let what = "can't make the run's cgroup in \(place.parent.shown)"
        let reason: String
        switch (error.call, error.errno) {
        case ("cgroup.controllers", _):
            reason = "it has no \(error.subject.shown) to hand down. `aegix doctor` says how to get there"
        case ("memory.swap.max", _):
            reason =
                "this kernel doesn't count swap, so a limit on memory wouldn't hold. Boot without swapaccount=0, or `swapoff -a`"
        case (_, EBUSY): reason = "processes came into it. Run again; `aegix doctor` shows whether they stay"
        case ("flock", _): reason = "another process has held it locked for ten seconds. Is an aegix stopped?"
        case ("open", ENOENT) where error.subject == Bytes("cgroup.kill"):
            reason = "this kernel has no cgroup.kill. Use Linux 5.14 or later"
        default: reason = error.description
        }
        return Failure("tier.cgroup", "\(what): \(reason)", errno: error.errno)
    }

    // MARK: - During and after

    /// What was counted until now. A file that can't be read is one that this kernel, or this place, hasn't: unknown.
    func read() -> CgroupUsage {
        var usage = CgroupUsage()
        if let text = content("cpu.stat") { usage.take(cpuStat: text) }
        if let text = content("memory.peak") { usage.take(memoryPeak: text) }
        if let text = content("memory.events") { usage.take(memoryEvents: text) }
        if let text = content("pids.events") { usage.take(pidsEvents: text) }
        if let text = content("io.stat") { usage.take(ioStat: text) }
        return usage
    }

    private func content(_ name: String) -> Bytes? {
        do { return try CgroupFile.read(name, in: directory.raw) } catch { return nil }
    }

    /// SIGKILL to everything in it, what is being made at the moment included.
    func kill() throws(SystemError) { try CgroupFile.write(Bytes("1"), to: killer, "cgroup.kill") }

    /// After everything in it was ended: waits for the dying, and goes. aegix is where it was before.
    func remove() throws(SystemError) {
        try RunCgroup.remove(name, directory.raw, in: parent.raw, seconds: RunCgroup.patience)
        try aside?.back(parent.raw)
        aside = nil
    }

    /// After `remove`: the parent and its controllers as they were, unless another run has come to use them.
    func restore() throws(SystemError) {
        if aegix_flock(parent.raw, LOCK_EX | LOCK_NB) < 0 {
            if errno == EWOULDBLOCK { return }
            throw SystemError.last("flock")
        }
        do throws(SystemError) {
            try CgroupControllers.disable(changes.enabledInParent, in: parent.raw)
            guard changes.madeParent else { return }
            let place = Path.parent(path)
            let top = try Descriptor.open(Path.parent(place), O_RDONLY | O_DIRECTORY)
            if Path.name(place).withCString({ unlinkat(top.raw, $0, AT_REMOVEDIR) }) < 0 {
                throw SystemError.last("rmdir", place)
            }
            try CgroupControllers.disable(changes.enabledAbove, in: top.raw)
        } catch {
            // A cgroup below has them in use since.
            if error.errno != EBUSY { throw error }
        }
    }

    static func remove(_ name: Bytes, _ directory: Int32, in parent: Int32, seconds: Int) throws(SystemError) {
        let deadline = Clock.monotonic() + UInt64(seconds) * 1_000_000_000
        var events = Descriptor.none
        while name.withCString({ unlinkat(parent, $0, AT_REMOVEDIR) }) < 0 {
            let refusal = SystemError.last("rmdir", name)
            let now = Clock.monotonic()
            if refusal.errno != EBUSY || now >= deadline { throw refusal }
            // Read first: from then on the kernel tells of a change. The second look is for one in between.
            if !events.isOpen {
                events = try Descriptor.open(Bytes("cgroup.events"), O_RDONLY | O_NOFOLLOW, at: directory)
            }
            var text = [UInt8](repeating: 0, count: 256)
            let count = aegix_pread(events.raw, &text, text.count, 0)
            if count < 0 { throw SystemError.last("read", Bytes("cgroup.events")) }
            if CgroupUsage.value("populated", in: Bytes(text[..<count])) != 0 {
                var changed = pollfd(fd: events.raw, events: Int16(POLLPRI), revents: 0)
                _ = poll(&changed, 1, Int32((deadline - now) / 1_000_000) + 1)
            }
        }
    }
}

/// aegix in a leaf below the cgroup that it was started in, which had to be empty to hand its controllers down. Only aegix
/// itself was ever moved.
final class SteppedAside {
    static let suffix = "-self"
    private let leaf: Descriptor
    private let name: Bytes
    /// Where aegix was.
    private let base: Descriptor
    /// Name of the directory between the two, if it goes as well.
    private let parentName: Bytes?
    private let enabledAbove: [Bytes]
    private let enabledInParent: [Bytes]

    private init(
        _ name: Bytes, _ leaf: consuming Descriptor, base: consuming Descriptor, parentName: Bytes?,
        enabledAbove: [Bytes], enabledInParent: [Bytes]
    ) {
        self.name = name
        self.leaf = leaf
        self.base = base
        self.parentName = parentName
        self.enabledAbove = enabledAbove
        self.enabledInParent = enabledInParent
    }

    static func make(
        _ name: Bytes, in parent: Int32, below base: consuming Descriptor, parentName: Bytes?
    ) throws(SystemError) -> SteppedAside {
        let leaf = try RunCgroup.makeLocked(name, in: parent)
        do throws(SystemError) {
            try CgroupFile.write(Bytes("0"), to: "cgroup.procs", in: leaf.raw)
            let above = try CgroupControllers.enable(in: base.raw)
            let inside = try CgroupControllers.enable(in: parent)
            return SteppedAside(
                name, leaf, base: base, parentName: parentName, enabledAbove: above, enabledInParent: inside)
        } catch {
            // The first error is the one to tell. What stays, the next command sweeps.
            do { try leave(name, parent, to: base.raw) } catch {}
            throw error
        }
    }

    /// Controllers off, since no process can be beside them; then back, and what was made goes. Where another run has come
    /// in by now all of it stays: the one who goes last finds it empty, and sweeps it.
    func back(_ parent: Int32) throws(SystemError) {
        if aegix_flock(parent, LOCK_EX | LOCK_NB) < 0 {
            if errno == EWOULDBLOCK { return }
            throw SystemError.last("flock")
        }
        try CgroupControllers.disable(enabledInParent, in: parent)
        try CgroupControllers.disable(enabledAbove, in: base.raw)
        try SteppedAside.leave(name, parent, to: base.raw)
        if let parentName, parentName.withCString({ unlinkat(base.raw, $0, AT_REMOVEDIR) }) < 0 {
            throw SystemError.last("rmdir", parentName)
        }
    }

    private static func leave(_ name: Bytes, _ parent: Int32, to base: Int32) throws(SystemError) {
        try CgroupFile.write(Bytes("0"), to: "cgroup.procs", in: base)
        if name.withCString({ unlinkat(parent, $0, AT_REMOVEDIR) }) < 0 { throw SystemError.last("rmdir", name) }
    }
}
