// Pure. What the policy denies and a run made nevertheless.

import AegixPolicy
import AegixSystem

/// `files.deny` masks what is there when a run begins. What is made at such a path later can't be kept from being made; it is
/// flagged, and never applied.
public struct Denials: Sendable {
    private let patterns: [PathPattern]
    private let workspace: [Bytes]

    /// - patterns: from the root. Each stands for what lies beneath it, too.
    public init(_ patterns: [PathPattern], in workspace: Bytes) {
        self.patterns = patterns.map { pattern in
            var whole = pattern
            whole.components.append(.anyDepth)
            return whole
        }
        self.workspace = Path.components(workspace)
    }

    public func flag(_ list: inout ChangeList) {
        if patterns.isEmpty { return }
        for index in list.changes.indices where list.changes[index].after != nil {
            let names = workspace + Path.components(list.changes[index].path)
            if patterns.contains(where: { $0.matches(names: names) }) { list.changes[index].flags.insert(.denied) }
        }
    }
}
