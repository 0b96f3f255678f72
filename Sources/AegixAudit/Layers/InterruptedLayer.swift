// Side effects: reads the layer of a run whose aegix was killed, and the workspace beneath it; completes the layer.

import AegixPolicy
import AegixSandbox
import AegixSystem
import AegixWorkspace
import CAegix
import Glibc

/// Lists what a killed run changed, as the run itself would have done at its end, from what its start event says.
enum InterruptedLayer {
    /// nil: it can't be known, and `reason` says why.
    struct Finding {
        var list: ChangeList?
        var reason: String?
    }

    /// The layer must have been still for so long: what the kernel is just killing may still write.
    private static let stillness: UInt64 = 100_000_000
    private static let patience: UInt64 = 3_000_000_000

    /// - record: the start's part of the record, with the tier that the run came to.
    /// - hadCopy: the run worked on a copy of the workspace, and the layer is filled from it at the end only.
    static func list(_ id: RunID, _ layer: Layer, _ record: [String: JSON], hadCopy: Bool) -> Finding {
        let effective = record["policy"]?["effective"]?["workspace"]
        let tier = record["enforcement"]?["tier"]?.string
        guard let workspace = record["workspace"]?["path"]?.bytesValue,
            let protect = effective?["protect"]?.array?.map(\.string), !protect.contains(nil)
        else { return Finding(reason: "its record doesn't say what it worked on") }
        if hadCopy || tier == "confined" || effective?["backing"]?.string == "copy" {
            return Finding(reason: "it worked on a copy of the workspace, which went with it")
        }
        // overlayfs was told not to sync: what a machine that went down has kept isn't what was written.
        if id.milliseconds * 1_000_000 < bootTime() {
            return Finding(reason: "the machine went down while it ran, and its layer was never synced")
        }
        do {
            if try Redirects.isHalfComplete(layer) {
                return Finding(reason: "aegix was killed while it completed the layer with renamed directories")
            }
            try Redirects.complete(layer, over: workspace)
            // By the id's time, which is the earliest: what changed in the workspace since is flagged `raced`.
            let listing = LayerListing(
                layer, over: workspace, began: Int64(id.milliseconds) * 1_000_000, linksBreak: layer.style == .user)
            var list = try still(listing)
            let around = try LayerSurroundings(layer, over: workspace)
            try Protection(protect.compactMap { $0 }, around: around).flag(&list)
            try Denials(try denied(record, in: workspace), in: workspace).flag(&list, around)
            return Finding(list: list)
        } catch {
            return Finding(reason: "its layer couldn't be looked at: \(error)")
        }
    }

    /// What `files.deny` named. The caller's home is taken for the same as it was.
    private static func denied(_ record: [String: JSON], in workspace: Bytes) throws(Failure) -> [PathPattern] {
        let home = getenv("HOME").map { Bytes(UnsafeRawBufferPointer(start: $0, count: strlen($0))) }
        var patterns: [PathPattern] = []
        for rule in record["policy"]?["effective"]?["files"]?["deny"]?.array ?? [] {
            guard let pattern = rule.bytesValue else {
                throw Failure("run.unreadable", "files.deny isn't a list of paths")
            }
            patterns += try PatternSearch.denied(
                .init(pattern: pattern, origin: "files.deny"), home: home, workspace: workspace)
        }
        return patterns
    }

    private static func still(_ listing: LayerListing) throws(SystemError) -> ChangeList {
        let deadline = Clock.monotonic() + patience
        while true {
            let list = try listing.list()
            let last = list.changes.compactMap { $0.after?.identity.changed }.max() ?? 0
            if UInt64(max(0, last)) + stillness < Clock.realtime() || Clock.monotonic() >= deadline { return list }
            var pause = timespec(tv_sec: 0, tv_nsec: Int(stillness))
            nanosleep(&pause, nil)
        }
    }

    /// Nanoseconds since 1970.
    private static func bootTime() -> UInt64 {
        var since = timespec()
        clock_gettime(CLOCK_BOOTTIME, &since)
        let now = Clock.realtime()
        return now - min(now, UInt64(since.tv_sec) * 1_000_000_000 + UInt64(since.tv_nsec))
    }
}
