// Pure. Which parts of a git directory make a host's git run something.

import AegixSystem

enum GitNames {
    static let directory = Bytes(".git")
    static let modules = Bytes(".gitmodules")

    /// Names whose presence makes a directory worth asking whether it is a git directory.
    static let marks = Set(
        ["head", "objects", "refs", "commondir", "config", "config.worktree", "gitdir", "hooks", "info"].map {
            Bytes($0)
        })

    /// Of folded names below a git directory: whether git obeys what lies there, and not only stores it.
    static func obeys(_ rest: ArraySlice<Bytes>, isLink: Bool) -> Bool {
        guard let first = rest.first else { return false }
        if isLink { return true }
        // A branch may be called `hooks`, and an object is data.
        if stored.contains(first) { return rest.elementsEqual([Bytes("objects"), Bytes("info"), Bytes("alternates")]) }
        if rest.contains(where: obeyed.contains) { return true }
        return zip(rest, rest.dropFirst()).contains { $0 == Bytes("info") && $1 == Bytes("attributes") }
    }

    /// Half-done work that `git rebase --continue` and its like carry on, `exec` lines included.
    static func continues(_ rest: ArraySlice<Bytes>) -> Bool { rest.first.map(begun.contains) ?? false }

    private static let stored = Set(["objects", "refs", "logs"].map { Bytes($0) })
    private static let obeyed = Set(["config", "config.worktree", "hooks", "commondir", "gitdir"].map { Bytes($0) })
    private static let begun = Set(["rebase-merge", "rebase-apply", "sequencer"].map { Bytes($0) })
}
