// Pure but for the clock. What the state directory takes, for a person and as a member of a document.

import AegixAudit
import AegixSystem

enum StateSizeText {
    /// For the counting, in nanoseconds.
    static let patience: UInt64 = 250_000_000
    /// Where it is told by the way: the command shall have answered in a tenth of a second, whatever else it does.
    static func deadline(since began: UInt64) -> UInt64 {
        max(began + 50_000_000, Clock.monotonic() + 10_000_000)
    }

    static func line(_ size: StateSize, _ path: Bytes) -> String {
        let parts = [
            ("runs", size.runs), ("layers", size.layers), ("sandboxes", size.sandboxes), ("cache", size.cache),
            ("other", size.other),
        ]
        let shown = parts.filter { $0.1.entries > 0 }.map { "\($0.0) \(PruneText.amount($0.1))" }
        let runs = size.count == 1 ? "1 run" : "\(size.count) runs"
        return
            "\(path.shown): \(PruneText.amount(size.all)) in \(runs)\(size.runs.isCut ? " or more" : "") (\(shown.joined(separator: ", ")))"
    }

    static func document(_ size: StateSize, _ path: Bytes) -> JSON {
        [
            "path": .bytes(path), "bytes": .big(size.all.bytes), "cut": .bool(size.all.isCut),
            "runs": .int(size.count), "runs_bytes": .big(size.runs.bytes), "layers_bytes": .big(size.layers.bytes),
            "sandboxes_bytes": .big(size.sandboxes.bytes), "cache_bytes": .big(size.cache.bytes),
            "other_bytes": .big(size.other.bytes),
        ]
    }
}
