// Pure. Changes as a patch that `git apply` and `patch -p1` take.

import AegixSystem

/// The patch of one file: what was there and what is there now, under which names.
public struct Patch: Sendable {
    /// As far as git carries a file.
    public struct Side: Sendable {
        public var path: Bytes
        /// `100644`, `100755` or `120000`.
        public var mode: String
        public var bytes: Bytes

        /// nil: nothing that git carries.
        public init?(_ path: Bytes, _ entry: Entry?, _ bytes: Bytes) {
            guard let mode = entry.flatMap(Side.mode) else { return nil }
            (self.path, self.mode, self.bytes) = (path, mode, bytes)
        }

        static func mode(_ entry: Entry) -> String? {
            switch entry.kind {
            case .file: entry.mode & 0o100 != 0 ? "100755" : "100644"
            case .symlink: "120000"
            case .directory, .fifo, .socket, .device: nil
            }
        }

        fileprivate var isLink: Bool { mode == "120000" }
    }

    /// Longer texts go as binary literals, which need no comparing.
    static let longestText = 16 << 20

    public let old: Side?
    public let new: Side?

    /// One patch, or two where a file gives way to a link or the reverse; none where git sees no change.
    public static func make(_ old: Side?, _ new: Side?) -> [Patch] {
        if let old, let new {
            if old.isLink != new.isLink { return [Patch(old: old, new: nil), Patch(old: nil, new: new)] }
            if old.path == new.path, old.mode == new.mode, old.bytes == new.bytes { return [] }
        }
        return old == nil && new == nil ? [] : [Patch(old: old, new: new)]
    }

    /// Deletions come first: `patch` goes from top to bottom, and a directory may take a file's place.
    public var isDeletion: Bool { new == nil }

    public func write(into out: inout Bytes) {
        guard let path = new?.path ?? old?.path else { return }
        let (a, b) = (Bytes("a/") + (old?.path ?? path), Bytes("b/") + (new?.path ?? path))
        line("diff --git ", GitText.quoted(a), " ", GitText.quoted(b), into: &out)
        if let old, let new {
            if old.mode != new.mode { line("old mode \(old.mode)\nnew mode \(new.mode)", into: &out) }
            if old.path != new.path {
                if old.bytes == new.bytes { line("similarity index 100%", into: &out) }
                line("rename from ", GitText.quoted(old.path), into: &out)
                line("rename to ", GitText.quoted(new.path), into: &out)
            }
            if old.bytes == new.bytes { return }
        } else if let new {
            line("new file mode \(new.mode)", into: &out)
        } else if let old {
            line("deleted file mode \(old.mode)", into: &out)
        }
        let none = String(repeating: "0", count: 40)
        let ids = (old.map { GitText.blob($0.bytes) } ?? none) + ".." + (new.map { GitText.blob($0.bytes) } ?? none)
        line("index ", Bytes(ids), old?.mode == new?.mode ? " \(new?.mode ?? "")" : "", into: &out)
        content(a, b, into: &out)
    }

    private func content(_ a: Bytes, _ b: Bytes, into out: inout Bytes) {
        let (before, after) = (old?.bytes ?? [], new?.bytes ?? [])
        if [before, after].contains(where: { UnifiedDiff.isBinary($0) || $0.count > Patch.longestText }) {
            line("GIT binary patch", into: &out)
            GitText.literal(after, into: &out)
            GitText.literal(before, into: &out)
            return
        }
        if before.isEmpty && after.isEmpty { return }
        line("--- ", old == nil ? Bytes("/dev/null") : Patch.ended(a), into: &out)
        line("+++ ", new == nil ? Bytes("/dev/null") : Patch.ended(b), into: &out)
        UnifiedDiff(before, after).write(into: &out)
    }

    /// A name with a space would end there for `patch`, but for a tab after it.
    private static func ended(_ name: Bytes) -> Bytes {
        let quoted = GitText.quoted(name)
        return quoted == name && name.contains(0x20) ? name + [0x09] : quoted
    }

    private func line(
        _ head: String, _ name: Bytes = [], _ middle: String = "", _ other: Bytes = [], into out: inout Bytes
    ) {
        out += Bytes(head) + name + Bytes(middle) + other + [0x0A]
    }
}
