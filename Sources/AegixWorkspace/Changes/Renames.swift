// Pure. Which of the files that came are ones that went.

import AegixSystem

/// A file that is gone and one that is new, with the same content, are one that was renamed: the same object on disk first, then one
/// of the same name elsewhere, then any. Not done here: likeness; a file that was renamed and edited stays a deletion and an addition.
enum Renames {
    private struct Key: Hashable {
        var digest: String
        var device: UInt64?
        var inode: UInt64?
        var name: Bytes?
    }

    private enum Likeness: CaseIterable {
        case object, name, content
    }

    static func pair(_ changes: [Change]) -> [Change] {
        var changes = changes
        var taken: Set<Int> = []
        for likeness in Likeness.allCases {
            var gone: [Key: [Int]] = [:]
            // The last first, so that the first is at the end.
            for (index, change) in changes.enumerated().reversed()
            where change.kind == .deleted && !taken.contains(index) {
                guard let before = change.before, before.size > 0, let key = key(before, change.path, likeness) else {
                    continue
                }
                gone[key, default: []].append(index)
            }
            if gone.isEmpty { break }
            for index in changes.indices where changes[index].kind == .added && changes[index].linkOf == nil {
                guard let after = changes[index].after, let key = key(after, changes[index].path, likeness),
                    let source = gone[key]?.popLast()
                else { continue }
                taken.insert(source)
                changes[index].kind = .renamed
                changes[index].from = changes[source].path
                changes[index].before = changes[source].before
                changes[index].flags.formUnion(changes[source].flags)
            }
        }
        return changes.indices.filter { !taken.contains($0) }.map { changes[$0] }
    }

    private static func key(_ entry: Entry, _ path: Bytes, _ likeness: Likeness) -> Key? {
        guard let digest = entry.digest else { return nil }
        switch likeness {
        case .object: return Key(digest: digest, device: entry.identity.device, inode: entry.identity.inode)
        case .name: return Key(digest: digest, name: Path.name(path))
        case .content: return Key(digest: digest)
        }
    }
}
