// Side effects: reads /proc. Which processes a run has, where it has no pid namespace of its own.

import AegixSystem
import CAegix
import Glibc

/// Who lists the processes of a run, for what is counted over all of them.
protocol ProcessListing {
    /// Everything that the command started and is alive, without the init that holds it.
    func pids() -> [pid_t]
}

/// The descendants of one process. A process that is made or given to another parent during the look may be missed: good
/// for counting, which comes again; ending a run doesn't depend on it.
struct RunTree: ProcessListing {
    let root: pid_t

    init(of root: pid_t) { self.root = root }

    func pids() -> [pid_t] {
        var found: [pid_t] = []
        var next = [root]
        while let pid = next.popLast() {
            guard let children = RunTree.children(of: pid) else { return scan() }
            found += children
            next += children
        }
        return found
    }

    /// By value and by the kernel's word for each step, so that a number of the host's is never taken for one of ours.
    func contains(_ pid: pid_t) -> Bool {
        var place = pid
        // No deeper than there can be processes.
        for _ in 0..<65536 {
            if place == root { return pid != root }
            guard let parent = ProcessFacts.parent(place), parent > 1 else { return false }
            place = parent
        }
        return false
    }

    /// Those of every thread. nil: this kernel doesn't list children. None of a process that is gone.
    static func children(of pid: pid_t) -> [pid_t]? {
        var found: [pid_t] = []
        for task in DirectoryListing.names(Bytes("/proc/\(pid)/task")) {
            do {
                let path = Bytes("/proc/\(pid)/task/") + task + Bytes("/children")
                let text = try Descriptor.open(path, O_RDONLY).readAll(limit: 1 << 20)
                found += text.split(separator: UInt8(ascii: " ")).compactMap {
                    pid_t(String(decoding: $0, as: UTF8.self))
                }
            } catch {
                // The task is gone, or the file isn't there for any.
                if error.errno == ENOENT, access("/proc/self/task/\(getpid())/children", F_OK) < 0 { return nil }
            }
        }
        return found
    }

    /// Every process of the machine that is visible, by its parent.
    private func scan() -> [pid_t] {
        var children: [pid_t: [pid_t]] = [:]
        for name in DirectoryListing.names(Bytes("/proc")) {
            guard let pid = pid_t(String(decoding: name, as: UTF8.self)), let parent = ProcessFacts.parent(pid) else {
                continue
            }
            children[parent, default: []].append(pid)
        }
        var found: [pid_t] = []
        var next = [root]
        while let pid = next.popLast() {
            let below = children[pid] ?? []
            found += below
            next += below
        }
        return found
    }

    /// For a run whose init was killed by somebody: what it leaves has come to us, the next subreaper, and each that ends
    /// gives us its children in turn. A number can't be another's: nobody but us reaps. init itself stays to be reaped.
    static func endOrphans(but own: pid_t) {
        while true {
            let orphans = ours().filter { $0 != own }
            if orphans.isEmpty { return }
            for pid in orphans { kill(pid, SIGKILL) }
            var used = aegix_usage()
            for pid in orphans { _ = aegix_reap(pid, &used) }
        }
    }

    private static func ours() -> [pid_t] {
        if let listed = children(of: getpid()) { return listed }
        return DirectoryListing.names(Bytes("/proc")).compactMap { pid_t(String(decoding: $0, as: UTF8.self)) }
            .filter { ProcessFacts.parent($0) == getpid() }
    }
}
