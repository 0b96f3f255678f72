// Side effects: reads the sandbox's own /proc. What all its processes use together, where no cgroup counts it.

import AegixSystem
import CAegix
import Glibc

/// The limit on memory as a sum: anonymous pages, tmpfs, memfd, shared mappings, and what waits in pipes and sockets.
///
/// An estimate that is never too low for long costs a few microseconds a process. Where it passes the limit, what is the
/// processes' own beyond doubt may already do so; only between the two the kernel is asked for the proportional sizes,
/// which count a page once however many map it, and take long of processes that are large.
struct MemoryWatch {
    private let limit: UInt64
    private let processors: UInt64
    /// The machine's shared memory before the command began.
    private let sharedBefore: UInt64
    private let scratchBefore: UInt64
    private var exactAt: UInt64 = 0
    /// What is open or mapped could hide much: sooner.
    private var exactAfter: UInt64 = 0
    /// The least that each process was seen with: it can't have inherited more of its parent.
    private var inherited: [Int32: UInt64] = [:]
    private var lastUsed: UInt64 = 0
    /// At the last exact reading: sockets, and all that was open but each process's first three.
    private var socketsThen: UInt64 = 0
    private var filesThen: UInt64 = 0
    private let bufferSize: UInt64

    /// What one processor dirties in a millisecond, measured: 2 to 3 MiB.
    private static let rate: UInt64 = 3 << 20
    /// Others on the machine may free shared memory while this run takes it, so an estimate isn't believed for longer.
    private static let believed: UInt64 = 250_000_000
    private static let doubted: UInt64 = 10_000_000

    /// NETLINK_SOCK_DIAG in the sandbox's network namespace; -1 where the kernel has none.
    private let sockets: Int32
    /// The first process of the sandbox, as the host numbers it.
    private let initial: pid_t

    init(limit: UInt64, processors: Int, sockets: Int32, initial: pid_t, scratch: UInt64) {
        self.sockets = sockets
        self.initial = initial
        self.limit = limit
        bufferSize = MemoryWatch.largestBuffer()
        self.processors = UInt64(max(1, processors))
        sharedBefore = aegix_watch_shared_memory()
        scratchBefore = scratch
    }

    struct Reading: Equatable {
        var isOver: Bool
        /// How long it takes to reach the limit at the fastest.
        var wait: UInt64
    }

    mutating func look(proc: Int32, tasks: [aegix_task_facts], scratch: UInt64, isStill: Bool, now: UInt64) -> Reading {
        let scratch = scratch - min(scratch, scratchBefore)
        var anonymous: UInt64 = 0
        var possible: UInt64 = 0
        var files: UInt64 = 0
        inherited = MemoryWatch.least(tasks, inherited)
        for task in tasks {
            anonymous += task.anonymous
            possible += task.size / MemoryWatch.mappedPerTable
            files += UInt64(task.files - min(task.files, 3))
        }
        // What was opened since the last exact reading may be a socket, too.
        possible += (socketsThen + files - min(files, filesThen)) * bufferSize
        let shared = aegix_watch_shared_memory()
        let unseen = shared - min(shared, sharedBefore + scratch)
        var used = anonymous + scratch + unseen
        let isGrowing = used > lastUsed
        lastUsed = used
        if used > limit {
            let certain = own(tasks)
            if certain > limit {
                if own(SameMemory.distinct(tasks, proc: proc, of: initial)) > limit {
                    return Reading(isOver: true, wait: 0)
                }
            } else if isGrowing, used - min(used, certain) < limit / 8 {
                // While little is in doubt and more comes, the next look knows sooner than an exact reading would.
                return Reading(isOver: false, wait: 0)
            }
        }
        if used > limit || now >= exactAt || (used + possible > limit && now >= exactAfter) {
            exactAt = now + (isStill ? MemoryWatch.believed * 8 : MemoryWatch.believed)
            exactAfter = now + MemoryWatch.doubted
            let distinct = used > limit ? SameMemory.distinct(tasks, proc: proc, of: initial) : tasks
            used = exact(proc: proc, tasks: distinct, scratch: scratch, unseen: unseen)
            filesThen = files
        }
        // One process can't pass the limit at all; many may, by an eighth before they are looked at, or half when they
        // begin all at once after a rest.
        let left = limit - min(limit, used) + limit / (isStill ? 2 : 8)
        return Reading(isOver: used > limit, wait: left * 1_000_000 / (MemoryWatch.rate * processors))
    }

    /// What processes took since they began: a page of it is in nobody else's sum, because a child's begins with it.
    private func own(_ tasks: [aegix_task_facts]) -> UInt64 {
        tasks.reduce(0) { sum, task in
            let doubt = (inherited[task.pid] ?? task.anonymous) + MemoryWatch.doubt
            return sum + task.anonymous - min(task.anonymous, doubt)
        }
    }

    private static func least(_ tasks: [aegix_task_facts], _ before: [Int32: UInt64]) -> [Int32: UInt64] {
        var least: [Int32: UInt64] = [:]
        least.reserveCapacity(tasks.count)
        for task in tasks { least[task.pid] = min(before[task.pid] ?? task.anonymous, task.anonymous) }
        return least
    }

    /// By how much the kernel's count of a process may be off.
    private static let doubt = aegix_watch_doubt()
    /// The most that a socket holds: twice what it may be told to, or what TCP takes by itself; a pipe holds less.
    private static func largestBuffer() -> UInt64 {
        func last(_ name: String) -> UInt64 {
            do throws(SystemError) {
                let text = try Descriptor.open(Bytes("/proc/sys/net/" + name), O_RDONLY).readAll(limit: 4096)
                let words = text.split { $0 == 0x20 || $0 == 0x09 || $0 == 0x0A }
                return words.last.flatMap { UInt64(String(decoding: $0, as: UTF8.self)) } ?? 0
            } catch {
                return 0  // there is no such protocol, or no way to know
            }
        }
        let told = max(2 * last("core/wmem_max"), last("ipv4/tcp_wmem") + last("ipv4/tcp_rmem"))
        return max(told, 4 << 20)
    }

    /// Bytes mapped for one byte of page tables.
    private static let mappedPerTable: UInt64 = 512

    private mutating func exact(proc: Int32, tasks: [aegix_task_facts], scratch: UInt64, unseen: UInt64) -> UInt64 {
        let held = OpenFiles.held(proc: proc, tasks: tasks)
        socketsThen = held.sockets
        var (anonymous, shared, tables) = (UInt64(0), UInt64(0), UInt64(0))
        func add(unnamed: Bool) -> UInt64 {
            var sum: UInt64 = 0
            (anonymous, shared, tables) = (0, 0, 0)
            for task in tasks {
                var share = aegix_share()
                if aegix_watch_share(proc, task.pid, unnamed ? 1 : 0, &share) < 0 { continue }
                anonymous += share.anonymous
                shared += share.shared
                tables += share.tables
                sum += share.unnamed
            }
            return sum
        }
        _ = add(unnamed: false)
        // What is in flight between processes is in nobody's hands: then the machine's own growth is taken for it.
        let named = max(scratch + held.memory, held.inFlight > 0 ? scratch + unseen : 0)
        let buffered = held.pipes + (sockets >= 0 ? self.buffered : 0)
        // Mapped shared memory is that of files, or has no name: both at once are told apart by the mappings.
        let small = limit / 16
        if shared > small, named > small { return anonymous + named + tables + add(unnamed: true) + buffered }
        return anonymous + tables + max(shared, named) + buffered
    }

    private var buffered: UInt64 {
        var bytes: UInt64 = 0
        return aegix_watch_sockets(sockets, &bytes) < 0 ? 0 : bytes
    }
}

extension aegix_task_facts {
    fileprivate var anonymous: UInt64 { resident - min(resident, shared) }
}

/// What processes hold open without a name in any directory, each thing once.
struct OpenFiles {
    var memory: UInt64 = 0
    var unlinked: UInt64 = 0
    var pipes: UInt64 = 0
    /// How many there are.
    var sockets: UInt64 = 0
    /// Descriptors, not bytes.
    var inFlight: UInt64 = 0

    private struct Identity: Hashable {
        var device: UInt64
        var inode: UInt64
    }

    static func held(proc: Int32, tasks: [aegix_task_facts]) -> OpenFiles {
        var sum = OpenFiles()
        var counted: Set<Identity> = []
        var room = [aegix_open_facts](repeating: aegix_open_facts(), count: 64)
        for task in tasks where task.files > 3 || task.threads > 1 {
            var found = aegix_watch_open(proc, task.pid, &room, room.count)
            if found > room.count {
                room = [aegix_open_facts](repeating: aegix_open_facts(), count: found + 64)
                found = aegix_watch_open(proc, task.pid, &room, room.count)
            }
            if found < 0 { continue }  // it ended
            for item in room.prefix(found) {
                if !counted.insert(Identity(device: item.device, inode: item.inode)).inserted { continue }
                switch aegix_open_kind(item.kind) {
                case AEGIX_OPEN_MEMORY: sum.memory += item.bytes
                case AEGIX_OPEN_UNLINKED: sum.unlinked += item.bytes
                case AEGIX_OPEN_PIPE: sum.pipes += item.bytes
                case AEGIX_OPEN_SOCKET:
                    sum.inFlight += item.bytes
                    sum.sockets += 1
                default: break
                }
            }
        }
        return sum
    }
}
