// Side effects: asks a ReviewSource whether the workspace changed. The changes as a tree, with sizes.

import AegixSystem
import AegixWorkspace

enum ReviewTree {
    /// Directories that nothing but one other is in share a line with it.
    static func lines(_ review: Review, limit: Int) -> [String] {
        let rows = review.chosen.map { (names: Path.components($0.path), change: $0) }.sorted { one, other in
            one.names.lexicographicallyPrecedes(other.names) { $0.lexicographicallyPrecedes($1) }
        }
        var lines: [String] = []
        var open: [Bytes] = []
        for (index, row) in rows.enumerated() {
            if lines.count >= limit {
                lines.append("… and \(rows.count - index) more changes; --json lists them all")
                return lines
            }
            let isDirectory = (row.change.after ?? row.change.before)?.kind == .directory
            let above = isDirectory ? row.names[...] : row.names.dropLast()
            let shared = zip(open, above).prefix { $0 == $1 }.count
            open.removeLast(open.count - min(shared, open.count))
            for name in above.dropFirst(shared).dropLast(isDirectory ? 1 : 0) {
                lines.append(indent(open.count) + name.shown + "/")
                open.append(name)
            }
            let name = row.names.last.map(\.shown) ?? "."
            lines.append(indent(open.count) + told(row.change, isDirectory ? name + "/" : name, review))
            if isDirectory, let last = row.names.last { open.append(last) }
        }
        return lines
    }

    private static func indent(_ depth: Int) -> String { String(repeating: "  ", count: min(depth, 40) + 1) }

    private static func told(_ change: Change, _ name: String, _ review: Review) -> String {
        var parts = [RecordText.padded(name, 32), word(change)]
        if let sizes = sizes(change) { parts.append(sizes) }
        if let from = change.from { parts.append("from \(from.shown)") }
        if let link = change.linkOf { parts.append("= \(link.shown)") }
        if let target = change.after?.target { parts.append("→ \(target.shown)") }
        if !change.flags.isEmpty {
            parts.append(
                "[" + Change.Flag.allCases.filter(change.flags.contains).map(\.rawValue).joined(separator: ", ") + "]")
        }
        if review.source?.isStale(change) == true { parts.append("(the workspace changed since the run)") }
        return RecordText.clipped(parts.joined(separator: "  "))
    }

    private static func sizes(_ change: Change) -> String? {
        let old = change.before.flatMap { $0.kind == .file ? Int(clamping: $0.size) : nil }
        let new = change.after.flatMap { $0.kind == .file ? Int(clamping: $0.size) : nil }
        switch (old, new) {
        case (nil, nil): return nil
        case (nil, let new?): return Units.size(new)
        case (let old?, nil): return "was " + Units.size(old)
        case (let old?, let new?): return old == new ? Units.size(new) : "\(Units.size(old)) → \(Units.size(new))"
        }
    }

    static func word(_ change: Change) -> String {
        switch change.kind {
        case .added: "added"
        case .modified: "modified"
        case .deleted: "deleted"
        case .renamed: "renamed"
        case .mode: "attributes"
        case .symlink: "symlink"
        }
    }
}
