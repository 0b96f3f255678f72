// Pure. Patterns of paths in the workspace: what `protect` names and `collect` takes.

import AegixSystem

public enum InsidePattern {
    /// How deep in the workspace artifacts are looked for.
    public static let deepest = 128

    /// A pattern that something in a workspace can match.
    public static func parse(_ text: Bytes) throws(PathPattern.Defect) -> PathPattern {
        let pattern = try PathPattern(text)
        if pattern.anchor != .workspace || pattern.components.isEmpty {
            throw PathPattern.Defect(reason: "isn't a path beneath the workspace, relative to it")
        }
        for case .literal(let name) in pattern.components where name.count > 255 {
            throw PathPattern.Defect(reason: "can match nothing: no name is longer than 255 bytes")
        }
        if pattern.components.filter({ $0 != .anyDepth }).count > deepest {
            throw PathPattern.Defect(reason: "can match nothing: it is deeper than \(deepest) directories")
        }
        return pattern
    }

    /// Proven: one of the outer patterns names all that the inner one does, itself or as a directory above.
    static func covers(_ outer: [String], _ inner: String) -> Bool {
        if outer.contains(inner) { return true }
        do {
            let inner = try PathPattern(Bytes(inner))
            for text in outer {
                var names = try PathPattern(Bytes(text)).components
                if names.last == .anyDepth { names.removeLast() }
                if inner.components.starts(with: names) { return true }
            }
        } catch {}
        return false
    }

    /// The deny pattern that hides all that a pattern of the workspace could name.
    public static func hiding(_ pattern: PathPattern, _ denied: [PathPattern], in workspace: Bytes) -> PathPattern? {
        let top = Path.components(Path.normalized(workspace))
        let names = top + pattern.literalPrefix
        return denied.first { deny in
            (top.count..<names.count).contains { deny.matches(names: Array(names[...$0])) }
        }
    }
}
