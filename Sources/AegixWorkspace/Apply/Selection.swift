// Pure. Which of a run's changes are to be applied, and which are left out, by name.

import AegixSystem

/// The choice among a list of changes.
public struct Selection: Sendable {
    public var chosen: [Change] = []
    /// Asked for, and not applied nevertheless.
    public var leftOut: [LeftOut] = []
    /// Not asked for.
    public var others = 0

    public struct LeftOut: Equatable, Sendable {
        public var path: Bytes
        public var reason: Reason
    }

    public enum Reason: Equatable, Sendable {
        case denied, protected, special, undigested, deeper
        /// It lies in a directory that isn't there without that other change.
        case needs(Bytes)
        /// It would remove a directory with that path in it, which stays.
        case holds(Bytes)

        public var word: String {
            switch self {
            case .denied: "denied"
            case .protected: "protected"
            case .special: "special"
            case .undigested: "undigested"
            case .deeper: "deeper"
            case .needs: "needs"
            case .holds: "holds"
            }
        }

        /// A clause, for a person.
        public var words: String {
            switch self {
            case .denied: "is denied by the policy's files.deny"
            case .protected: "is protected; --include-protected applies it too"
            case .special: "is a FIFO, a socket or a device"
            case .undigested: "couldn't be read when it was listed, so it isn't known what it is"
            case .deeper: "lies deeper than was listed"
            case .needs(let path): "lies in \(path.shown), which isn't applied"
            case .holds(let path): "can't go while \(path.shown) stays in it"
            }
        }
    }

    /// Stages: what is asked for; what can't be applied; directories that have to come first; what falls with them.
    ///
    /// - isAsked: whether a path, or a directory above it, was named.
    public init(_ list: ChangeList, includesProtected: Bool, isAsked: (Bytes) -> Bool) {
        var verdicts = list.changes.map { change -> Verdict in
            guard isAsked(change.path) || change.from.map(isAsked) == true else { return .other }
            return Selection.obstacle(change, includesProtected).map(Verdict.leftOut) ?? .chosen
        }
        let tree = ChangeTree(list.changes)
        for index in list.changes.indices where verdicts[index] == .chosen {
            for above in tree.makers(of: list.changes[index].path) where verdicts[above] == .other {
                // Only a directory that wasn't there: to rename or replace one is more than was asked.
                guard list.changes[above].before == nil, list.changes[above].kind == .added else { continue }
                verdicts[above] =
                    Selection.obstacle(list.changes[above], includesProtected).map(Verdict.leftOut) ?? .chosen
            }
        }
        var isSettled = false
        while !isSettled {
            isSettled = true
            for (index, change) in list.changes.enumerated() where verdicts[index] == .chosen {
                if let above = tree.makers(of: change.path).first(where: { verdicts[$0] != .chosen }) {
                    verdicts[index] = .leftOut(.needs(list.changes[above].path))
                    isSettled = false
                }
            }
            for (index, change) in list.changes.enumerated() where verdicts[index] != .chosen {
                for above in tree.removers(of: change) where verdicts[above] == .chosen {
                    verdicts[above] = .leftOut(.holds(change.path))
                    isSettled = false
                }
            }
        }
        for (index, change) in list.changes.enumerated() {
            switch verdicts[index] {
            case .chosen: chosen.append(change)
            case .leftOut(let reason): leftOut.append(LeftOut(path: change.path, reason: reason))
            case .other: others += 1
            }
        }
    }

    private enum Verdict: Equatable {
        case chosen, other
        case leftOut(Reason)
    }

    private static func obstacle(_ change: Change, _ includesProtected: Bool) -> Reason? {
        if change.flags.contains(.denied) { return .denied }
        if change.flags.contains(.protected), !includesProtected { return .protected }
        if let after = change.after, !after.kind.isPlain { return .special }
        if change.flags.contains(.deeper) { return .deeper }
        if let after = change.after, after.kind == .file, after.digest == nil { return .undigested }
        return nil
    }
}

/// How the changes of a list hang together.
private struct ChangeTree {
    private var makers: [Bytes: Int] = [:]
    private var removers: [Bytes: Int] = [:]

    init(_ changes: [Change]) {
        for (index, change) in changes.enumerated() {
            if change.after?.kind == .directory, change.kind != .mode { makers[change.path] = index }
            if change.before?.kind == .directory, change.after?.kind != .directory { removers[change.path] = index }
        }
    }

    /// Changes that make a directory above the path what it is, the lowest first.
    func makers(of path: Bytes) -> [Int] { above(path).compactMap { makers[$0] } }

    /// Changes that remove a directory which this one would leave something in.
    func removers(of change: Change) -> [Int] {
        var found: [Int] = []
        if change.before != nil, change.kind != .renamed { found += above(change.path).compactMap { removers[$0] } }
        if let from = change.from { found += above(from).compactMap { removers[$0] } }
        return found
    }

    private func above(_ path: Bytes) -> [Bytes] {
        var found: [Bytes] = []
        var at = Path.relativeParent(path)
        while !at.isEmpty {
            found.append(at)
            at = Path.relativeParent(at)
        }
        return found
    }
}
