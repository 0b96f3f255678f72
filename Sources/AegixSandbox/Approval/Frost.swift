// Side effects: stops everything in a sandbox, and lets it go on.

import AegixSystem
import CAegix
import Glibc

/// While somebody is asked, nothing inside runs: no output that imitates the prompt, no time used that nobody counts. By
/// the run's cgroup where it has one; else by SIGSTOP, which a command's parent can see.
struct Frost {
    let sandbox: Sandbox
    let cgroup: RunCgroup?
    /// The sandbox's root, for its /proc.
    let root: Int32

    /// False: something inside still runs, and nobody should be asked. What sleeps in the kernel is still.
    func freeze() -> Bool {
        let isFrozen = set("1")
        if !isFrozen, aegix_pidfd_signal(sandbox.pidfd.raw, Int32(AEGIX_STOP_ALL)) < 0 { return false }
        // A cgroup with a process that waits for us never says that it is frozen: it is given its moment.
        let patience: UInt64 = isFrozen ? 20_000_000 : 3_000_000_000
        let end = Clock.monotonic() + patience
        var pause = timespec(tv_sec: 0, tv_nsec: 1_000_000)
        while Clock.monotonic() < end {
            if isFrozen ? saysFrozen : isStill { return true }
            _ = nanosleep(&pause, nil)
        }
        return isFrozen
    }

    func thaw() {
        if !set("0") { _ = aegix_pidfd_signal(sandbox.pidfd.raw, Int32(AEGIX_CONTINUE_ALL)) }
    }

    private func set(_ text: String) -> Bool {
        guard let cgroup else { return false }
        do throws(SystemError) {
            try CgroupFile.write(Bytes(text), to: "cgroup.freeze", in: cgroup.directory.raw)
            return true
        } catch {
            return false
        }
    }

    private var saysFrozen: Bool {
        guard let cgroup else { return false }
        do throws(SystemError) {
            return try CgroupFile.read("cgroup.events", in: cgroup.directory.raw).text?.contains("frozen 1") ?? false
        } catch {
            return false
        }
    }

    private var isStill: Bool { states?.allSatisfy { !["R", "S"].contains($0) } ?? false }

    /// Of all threads' first: a process stops as a whole. Those that wait for our answer are in D.
    private var states: [String]? {
        if sandbox.isConfined {
            return RunTree(of: sandbox.pid).pids().compactMap { ProcessFacts.fields(Bytes("/proc/\($0)/stat"))?.first }
        }
        let raw = Bytes("proc").withCString { aegix_open_in_root(root, $0, O_RDONLY | O_DIRECTORY) }
        if raw < 0 { return nil }
        let proc = Descriptor(owning: raw)
        let again = aegix_duplicate(raw)
        if again < 0 { return nil }
        let entries: [DirectoryEntry]
        do { entries = try DirectoryListing.entries(Descriptor(owning: again)) } catch { return nil }
        return entries.compactMap { entry in
            guard let pid = Int32(String(decoding: entry.name, as: UTF8.self)), pid != 1 else { return nil }
            return ProcessFacts.fields(entry.name + Bytes("/stat"), at: proc.raw)?.first
        }
    }
}
