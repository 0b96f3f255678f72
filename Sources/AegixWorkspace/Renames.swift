// Pure. Which of the files that came are ones that went.

import AegixSystem

/// A file that is gone and one that is new, with the same content, are one that was renamed. Not done here: likeness; a file that was
/// renamed and edited stays a deletion and an addition.
enum Renames {
    static func pair(_ changes: [Change]) -> [Change] {
        var gone: [String: [Int]] = [:]
        for (index, change) in changes.enumerated() where change.kind == .deleted {
            guard let before = change.before, let digest = before.digest, before.size > 0 else { continue }
            gone[digest, default: []].append(index)
        }
        if gone.isEmpty { return changes }
        var changes = changes
        var taken: Set<Int> = []
        for index in changes.indices where changes[index].kind == .added && changes[index].linkOf == nil {
            guard let digest = changes[index].after?.digest, let candidates = gone[digest] else { continue }
            let free = candidates.filter { !taken.contains($0) }
            // The same name elsewhere rather than another name.
            let name = Path.name(changes[index].path)
            guard let source = free.first(where: { Path.name(changes[$0].path) == name }) ?? free.first else {
                continue
            }
            taken.insert(source)
            changes[index].kind = .renamed
            changes[index].from = changes[source].path
            changes[index].before = changes[source].before
            changes[index].flags.formUnion(changes[source].flags)
        }
        return changes.indices.filter { !taken.contains($0) }.map { changes[$0] }
    }
}
