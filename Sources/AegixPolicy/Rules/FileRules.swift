// Pure. Which of two `[files]` tables allows more, as far as it can be proven from the patterns alone.

import AegixSystem

/// What `~/` and relative patterns are anchored to; nil where it isn't known, and then less can be proven.
public struct PolicyAnchors: Sendable {
    public var home: Bytes?
    public var workspace: Bytes?

    public init(home: Bytes?, workspace: Bytes?) {
        self.home = home
        self.workspace = workspace
    }
}

/// The patterns of a policy from the root. The deepest entry that covers a path decides on it, so a read entry beneath
/// a write entry, or beneath a workspace that can be written, takes a right away: dropping it would give it back.
struct FileRules {
    struct Entry {
        var pattern: PathPattern
        var rule: Policy.PathRule
    }

    let read: [Entry]
    let write: [Entry]
    let deny: [Entry]
    let workspace: PathPattern
    let mode: Policy.Workspace.Mode

    init(_ policy: Policy, _ anchors: PolicyAnchors) {
        func entries(_ rules: [Policy.PathRule]) -> [Entry] {
            rules.map { rule in
                let pattern = Self.pattern(rule.pattern)
                let absolute = pattern.absolute(home: anchors.home, workspace: anchors.workspace)
                return Entry(pattern: absolute ?? pattern, rule: rule)
            }
        }
        read = entries(policy.files.read)
        write = entries(policy.files.write)
        deny = entries(policy.files.deny)
        var workspace = PathPattern(literal: [])
        workspace = workspace.absolute(home: anchors.home, workspace: anchors.workspace) ?? workspace
        self.workspace = workspace
        mode = policy.workspace.mode
    }

    /// Rules come from the reader or from `PathPattern.text`, so they parse; one that doesn't stands for itself only.
    private static func pattern(_ text: Bytes) -> PathPattern {
        do { return try PathPattern(text) } catch { return PathPattern(literal: text) }
    }

    /// The parent's entry that a child's read entry lies in: identical, or a literal directory above it.
    func readable(_ child: Entry) -> Entry? { Self.holder(of: child, in: read + write) }

    /// The same for a write entry, unless a read entry of the parent may take the right away in between.
    func writable(_ child: Entry) -> Entry? {
        guard let holder = Self.holder(of: child, in: write) else { return nil }
        if holder.pattern == child.pattern { return holder }
        // The workspace is such an entry of its own, unless it is written in place.
        let taken = read.map(\.pattern) + (mode == .direct ? [] : [workspace])
        let blocked = taken.contains { pattern in
            if !pattern.isLiteral { return Self.mayOverlap(pattern, child.pattern) }
            let deeper = pattern.components.count >= holder.pattern.components.count
            let reaches =
                child.pattern.isLiteral
                ? Self.contains(pattern, child.pattern) : Self.mayOverlap(pattern, child.pattern)
            return deeper && reaches
        }
        return blocked ? nil : holder
    }

    /// A parent's read entries that this child would turn into writable places by leaving them out.
    func freed(from parent: FileRules) -> [Entry] {
        let writable = write.map(\.pattern) + (mode == .readOnly ? [] : [workspace])
        return parent.read.filter { taken in
            writable.contains { place in
                let above = taken.pattern.isLiteral && taken.pattern != place && Self.contains(taken.pattern, place)
                if above || !Self.mayOverlap(taken.pattern, place) { return false }
                return !read.contains { kept in
                    if kept.pattern == taken.pattern { return true }
                    return kept.pattern.isLiteral && place.isLiteral && kept.pattern != place
                        && Self.contains(place, kept.pattern) && Self.contains(kept.pattern, taken.pattern)
                }
            }
        }
    }

    /// Entries of a parent's deny that this one doesn't hold, itself or a directory above.
    func undenied(from parent: FileRules) -> [Entry] {
        parent.deny.filter { Self.holder(of: $0, in: deny) == nil }
    }

    private static func holder(of child: Entry, in entries: [Entry]) -> Entry? {
        entries.first { $0.pattern == child.pattern }
            ?? entries.filter { contains($0.pattern, child.pattern) }
            .max { $0.pattern.components.count < $1.pattern.components.count }
    }

    /// Proven: all that `inner` can match is `outer` or lies beneath it.
    static func contains(_ outer: PathPattern, _ inner: PathPattern) -> Bool {
        outer.isLiteral && outer.anchor == inner.anchor && inner.literalPrefix.starts(with: outer.literalPrefix)
    }

    /// Not disproven: something may be covered by both.
    static func mayOverlap(_ a: PathPattern, _ b: PathPattern) -> Bool {
        if a.anchor != b.anchor { return true }
        let (first, second) = (a.literalPrefix, b.literalPrefix)
        return first.starts(with: second) || second.starts(with: first)
    }
}
