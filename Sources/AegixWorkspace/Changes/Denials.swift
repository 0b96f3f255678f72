// Pure but for what it asks of its Surroundings. What the policy denies and a run made nevertheless.

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

    /// Every path that a change has counts: in a sandbox that lives on, a later run may move what lies there.
    public func flag(_ list: inout ChangeList, _ around: any Surroundings) throws(SystemError) {
        if patterns.isEmpty { return }
        for index in list.changes.indices where list.changes[index].after != nil {
            let change = list.changes[index]
            var isDenied = [change.path, change.from, change.linkOf].compactMap { $0 }.contains(where: denies)
            if !isDenied, change.kind == .renamed, change.after?.kind == .directory, let from = change.from {
                isDenied = try deniesBeneath(change.path, from, around)
            }
            if isDenied { list.changes[index].flags.insert(.denied) }
        }
        Denials.spreadOverLinks(&list)
    }

    private func denies(_ path: Bytes) -> Bool {
        let names = workspace + Path.components(path)
        return patterns.contains { $0.matches(names: names) }
    }

    /// A directory that moved as a whole: what is in it isn't in the list.
    private func deniesBeneath(
        _ path: Bytes, _ from: Bytes, _ around: any Surroundings
    ) throws(SystemError) -> Bool {
        let (new, old) = (workspace + Path.components(path), workspace + Path.components(from))
        guard patterns.contains(where: { $0.reaches(beneath: new) || $0.reaches(beneath: old) }) else { return false }
        guard let inner = try around.beneath(from) else { return true }
        return inner.contains { denies(Path.join(path, $0.path)) || denies(Path.join(from, $0.path)) }
    }

    // MARK: - What hangs together

    /// The names of one file carry one flag.
    private static func spreadOverLinks(_ list: inout ChangeList) {
        var leaders: Set<Bytes> = []
        for change in list.changes where change.flags.contains(.denied) {
            if let leader = change.linkOf { leaders.insert(leader) }
            if change.after?.kind == .file { leaders.insert(change.path) }
        }
        for index in list.changes.indices where list.changes[index].after != nil {
            if leaders.contains(list.changes[index].linkOf ?? list.changes[index].path) {
                list.changes[index].flags.insert(.denied)
            }
        }
    }

    /// What an earlier run of the same sandbox made where it was denied stays that, wherever it is by now: as the same file, or with
    /// the same content. An inode that the file system has given to another file meanwhile counts as the same.
    public static func carry(_ list: inout ChangeList, from earlier: ChangeList) {
        var (paths, files, contents) = (Set<Bytes>(), Set<File>(), Set<String>())
        var known: [Bytes: String] = [:]
        for change in earlier.changes {
            guard let after = change.after else { continue }
            if !change.flags.contains(.denied) {
                known[change.path] = after.digest
                continue
            }
            paths.insert(change.path)
            files.insert(File(after.identity))
            if let digest = after.digest, after.size > 0 { contents.insert(digest) }
        }
        if paths.isEmpty { return }
        for index in list.changes.indices {
            guard let after = list.changes[index].after else { continue }
            let path = list.changes[index].path
            // One that was alike beside it, before, has nothing of it.
            let isAlike = after.digest.map { contents.contains($0) && known[path] != $0 } ?? false
            if paths.contains(path) || files.contains(File(after.identity)) || isAlike {
                list.changes[index].flags.insert(.denied)
            }
        }
        spreadOverLinks(&list)
    }

    private struct File: Hashable {
        var device: UInt64
        var inode: UInt64
        init(_ identity: Entry.Identity) { (device, inode) = (identity.device, identity.inode) }
    }
}
