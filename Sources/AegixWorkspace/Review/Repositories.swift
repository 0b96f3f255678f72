// Pure but for what it asks of its Surroundings. Git directories that go by another name than `.git`.

import AegixSystem

/// A directory with HEAD, objects and refs is a repository to git wherever it lies, and its configuration is obeyed as soon
/// as somebody enters it. Half of it may have been there before: the shape is looked for in what the changes leave.
struct Repositories {
    enum Shape {
        /// A repository before and after.
        case stays
        /// The changes make it one.
        case comes
    }

    private(set) var shapes: [Bytes: Shape] = [:]
    private var gitDirectories: Set<Bytes> = []

    init(_ list: ChangeList, _ around: any Surroundings) throws(SystemError) {
        let ground = Ground(list, around)
        var asked: Set<Bytes> = []
        for change in list.changes {
            for path in [change.path, change.from].compactMap({ $0 }) {
                let exact = Path.components(path)
                if exact.last.map(FoldedName.fold) == GitNames.directory, change.kind != .mode {
                    gitDirectories.insert(path)
                }
                let isLink = change.after?.kind == .symlink
                for (index, name) in exact.enumerated() where isLink || GitNames.marks.contains(FoldedName.fold(name)) {
                    let directory = Bytes(exact[..<index].joined(separator: [Path.slash]))
                    guard asked.insert(directory).inserted else { continue }
                    shapes[directory] = try ground.shape(of: directory)
                }
            }
        }
    }

    /// Whether a git directory of that name is added, removed, renamed or replaced: then it is taken whole or not at all.
    func comesOrGoes(_ directory: Bytes) -> Bool { gitDirectories.contains(directory) }
}

/// What is there before the changes, and after them.
private struct Ground {
    private let around: any Surroundings
    /// By folded path: whether something is there afterwards.
    private var left: [Bytes: Bool] = [:]
    /// Directories that moved whole: where they lie, and where they lay.
    private var moved: [Bytes: Bytes] = [:]

    init(_ list: ChangeList, _ around: any Surroundings) {
        self.around = around
        for change in list.changes {
            if let from = change.from, left[Ground.key(from)] == nil { left[Ground.key(from)] = false }
            if change.after != nil || left[Ground.key(change.path)] == nil {
                left[Ground.key(change.path)] = change.after != nil
            }
            if change.kind == .renamed, change.after?.kind == .directory, let from = change.from {
                moved[change.path] = from
            }
        }
    }

    func shape(of directory: Bytes) throws(SystemError) -> Repositories.Shape? {
        guard try isRepository(directory, exists: after) else { return nil }
        return try isRepository(directory, exists: before) ? .stays : .comes
    }

    /// As git asks: HEAD, and objects and refs here or in a common directory.
    private func isRepository(_ directory: Bytes, exists: (Bytes) throws(SystemError) -> Bool) throws(SystemError)
        -> Bool
    {
        func has(_ name: String) throws(SystemError) -> Bool {
            try exists(directory.isEmpty ? Bytes(name) : Path.join(directory, Bytes(name)))
        }
        guard try has("HEAD") else { return false }
        if try has("commondir") { return true }
        guard try has("objects") else { return false }
        return try has("refs")
    }

    private func before(_ path: Bytes) throws(SystemError) -> Bool { try around.kind(path) != nil }

    private func after(_ path: Bytes) throws(SystemError) -> Bool {
        if let known = left[Ground.key(path)] { return known }
        return try around.kind(origin(path)) != nil
    }

    /// Where the workspace has what lies at the path after directories have moved.
    private func origin(_ path: Bytes) -> Bytes {
        if moved.isEmpty { return path }
        var above = Path.relativeParent(path)
        while !above.isEmpty {
            if let from = moved[above] { return from + path[above.count...] }
            above = Path.relativeParent(above)
        }
        return path
    }

    private static func key(_ path: Bytes) -> Bytes {
        Bytes(FoldedName.components(path).joined(separator: [Path.slash]))
    }
}
