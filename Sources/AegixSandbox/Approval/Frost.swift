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

    /// A cgroup with a process that waits for us never says that it is frozen.
    private var patience: Int { cgroup == nil ? 200 : 20 }

    /// Returns when all is still, or after a moment: what can't be stopped sleeps in the kernel.
    func freeze() {
        if !set("1") { _ = aegix_pidfd_signal(sandbox.pidfd.raw, Int32(AEGIX_STOP_ALL)) }
        var pause = timespec(tv_sec: 0, tv_nsec: 1_000_000)
        for _ in 0..<patience {
            if isStill { return }
            _ = nanosleep(&pause, nil)
        }
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

    private var isStill: Bool {
        if let cgroup {
            do throws(SystemError) {
                return try CgroupFile.read("cgroup.events", in: cgroup.directory.raw).text?.contains("frozen 1")
                    ?? false
            } catch {
                return true
            }
        }
        return states.allSatisfy { !["R", "S"].contains($0) }
    }

    /// Of all threads' first: a process stops as a whole. Those that wait for our answer are in D.
    private var states: [String] {
        if sandbox.isConfined {
            return RunTree(of: sandbox.pid).pids().compactMap { ProcessFacts.fields(Bytes("/proc/\($0)/stat"))?.first }
        }
        let raw = Bytes("proc").withCString { aegix_open_in_root(root, $0, O_RDONLY | O_DIRECTORY) }
        if raw < 0 { return [] }
        let proc = Descriptor(owning: raw)
        let again = aegix_duplicate(raw)
        if again < 0 { return [] }
        let entries: [DirectoryEntry]
        do { entries = try DirectoryListing.entries(Descriptor(owning: again)) } catch { return [] }
        return entries.compactMap { entry in
            guard let pid = Int32(String(decoding: entry.name, as: UTF8.self)), pid != 1 else { return nil }
            return ProcessFacts.fields(entry.name + Bytes("/stat"), at: proc.raw)?.first
        }
    }
}
