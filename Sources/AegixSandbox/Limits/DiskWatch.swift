// Side effects: walks a run's layer while it runs, by descriptor.

import AegixSystem
import CAegix
import Glibc

/// The limit on what the writable places hold together: the layer on disk, and the scratch tmpfs.
///
/// The file system's own count of used blocks says in a microsecond how much the layer can have grown since it was walked;
/// others write there too, so a walk decides. Files that were unlinked while open are counted through their holders.
final class DiskWatch {
    private let limit: UInt64
    private let layer: Descriptor
    private var known: UInt64 = 0
    /// What lay there before the command began.
    private var before: UInt64 = 0
    /// The file system when it was walked.
    private var blocks: UInt64 = 0
    private var files: UInt64 = 0
    private var walkAt: UInt64 = 0
    /// A file as long as the limit: the kernel let it grow no further.
    private(set) var isMet = false

    /// What a fast disk takes in a millisecond.
    private static let rate: UInt64 = 2 << 20
    /// A file costs a block at least.
    private static let block: UInt64 = 4096

    /// nil: there is no layer, and only the scratch counts.
    /// - isCopy: there is a copy of the workspace in it, and what counts is how much it has grown.
    init(limit: UInt64, layer path: Bytes?, isCopy: Bool = false) throws(SystemError) {
        self.limit = limit
        layer = try path.map { path throws(SystemError) in try Descriptor.open(path, O_RDONLY | O_DIRECTORY) } ?? .none
        (blocks, files) = measure()
        if isCopy {
            walk(OpenFiles())
            (before, known, isMet) = (known, 0, false)
        }
    }

    struct Reading: Equatable {
        var isOver: Bool
        /// How long it takes to reach the limit at the fastest.
        var wait: UInt64
    }

    func look(proc: Int32, tasks: [aegix_task_facts], scratch: UInt64, now: UInt64) -> Reading {
        var used = known + scratch
        if layer.isOpen {
            used += grown()
            if used > limit || now >= walkAt {
                let began = Clock.monotonic()
                walk(OpenFiles.held(proc: proc, tasks: tasks))
                used = known + scratch
                // Others may free space while the run takes it; a walk that is dear is believed for longer.
                walkAt = now + max(1_000_000_000, (Clock.monotonic() - began) * 50)
            }
        }
        let left = limit - min(limit, used)
        return Reading(isOver: used > limit, wait: left * 1_000_000 / DiskWatch.rate)
    }

    /// When the run is over: what it left.
    func finish(scratch: UInt64) -> Bool {
        if layer.isOpen { walk(OpenFiles()) }
        return known + scratch > limit
    }

    private func measure() -> (blocks: UInt64, files: UInt64) {
        var bytes: UInt64 = 0
        var files: UInt64 = 0
        var free: UInt64 = 0
        if layer.isOpen { aegix_watch_filesystem(layer.raw, &bytes, &files, &free) }
        return (bytes, files)
    }

    private func grown() -> UInt64 {
        let now = measure()
        return now.blocks - min(now.blocks, blocks) + (now.files - min(now.files, files)) * DiskWatch.block
    }

    private func walk(_ held: OpenFiles) {
        let before = measure()
        var usage = aegix_tree_usage()
        if aegix_watch_tree(layer.raw, &usage) < 0 {
            // Deeper than can be walked: what the file system lost counts as the run's.
            known += grown()
        } else {
            let used = usage.bytes + held.unlinked
            // What is in flight between processes is in nobody's hands: then the file system's own growth is taken for it.
            known = max(used - min(used, self.before), held.inFlight > 0 ? known + grown() : 0)
            isMet = isMet || usage.largest >= limit
        }
        (blocks, files) = before
    }
}
