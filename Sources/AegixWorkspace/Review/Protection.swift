// Pure but for what it asks of its Surroundings. Which changes are `protected`, and which make the host execute something.

import AegixPolicy
import AegixSystem

/// Judges a list of changes: sets the flags `protected` and `executes`.
///
/// Stages: the git directories that come or go, by name and by shape; each change by its own paths and content; then what
/// hangs together with a judged one: further names of the same file, and a directory that went with one in it.
/// Not done here: nothing is refused. `apply` leaves out what is protected; `review` shows both on top.
public struct Protection {
    /// As written and folded.
    private let patterns: [PathPattern]
    /// The same, and all that lies beneath.
    private let whole: [PathPattern]
    private let around: any Surroundings

    /// - protect: the policy's, which has checked them.
    public init(_ protect: [String], around: any Surroundings) throws(PathPattern.Defect) {
        var patterns: [PathPattern] = []
        for text in protect {
            let pattern = try PathPattern(Bytes(text))
            patterns += [pattern, Protection.folded(pattern)]
        }
        self.patterns = patterns
        whole = patterns.map { pattern in
            var whole = pattern
            whole.components.append(.anyDepth)
            return whole
        }
        self.around = around
    }

    public func flag(_ list: inout ChangeList) throws(SystemError) {
        let repositories = try Repositories(list, around)
        let configuration = try GitConfiguration(list, around)
        for index in list.changes.indices {
            let change = list.changes[index]
            list.changes[index].flags.formUnion(try judge(change, repositories))
            let isLink =
                change.after?.kind == .symlink || change.kind == .renamed && change.after?.kind == .directory
            for path in [change.path, change.from, change.linkOf].compactMap({ $0 }) {
                let names = FoldedName.components(path)
                if configuration.names(names) || isLink && configuration.leads(names) {
                    list.changes[index].flags.insert(.protected)
                }
            }
        }
        Protection.spreadOverLinks(&list)
        Protection.raise(&list)
    }

    // MARK: - One change

    private func judge(_ change: Change, _ repositories: Repositories) throws(SystemError) -> Set<Change.Flag> {
        var flags: Set<Change.Flag> = []
        let isLink = change.after?.kind == .symlink
        if isProtected(change.path, isLink: isLink || change.before?.kind == .symlink, repositories) {
            flags.insert(.protected)
        }
        if let from = change.from, isProtected(from, isLink: false, repositories) {
            flags.insert(.protected)
        }
        if executes(change) { flags.insert(.executes) }
        // The other name may not be in the list: what is written here later is read there.
        if let other = change.linkOf {
            if isProtected(other, isLink: false, repositories) { flags.insert(.protected) }
            if HostNames.find(FoldedName.components(other), isLink: false) != nil { flags.insert(.executes) }
        }
        if change.kind == .renamed, change.after?.kind == .directory, let from = change.from {
            flags.formUnion(try judgeMoved(change.path, from, repositories))
        }
        return flags
    }

    /// A directory that moved as a whole: what is in it isn't in the list.
    private func judgeMoved(_ path: Bytes, _ from: Bytes, _ repositories: Repositories) throws(SystemError)
        -> Set<Change.Flag>
    {
        guard let inner = try around.beneath(from) else { return [.protected] }
        var flags: Set<Change.Flag> = []
        for (rest, kind) in inner {
            let (new, old) = (Path.join(path, rest), Path.join(from, rest))
            let isLink = kind == .symlink
            if isProtected(new, isLink: isLink, repositories) { flags.insert(.protected) }
            if isProtected(old, isLink: isLink, repositories) { flags.insert(.protected) }
            if kind != .directory, HostNames.find(FoldedName.components(new), isLink: isLink) != nil {
                flags.insert(.executes)
            }
        }
        return flags
    }

    private func isProtected(_ path: Bytes, isLink: Bool, _ repositories: Repositories) -> Bool {
        let exact = Path.components(path)
        let names = exact.map(FoldedName.fold)
        if names.last == GitNames.directory || names.last == GitNames.modules { return true }
        if whole.contains(where: { $0.matches(names: names) || $0.matches(names: exact) }) { return true }
        // Through a link there, another file would stand at the protected path.
        if isLink, patterns.contains(where: { Protection.leads(names, to: $0) }) { return true }
        for (index, name) in names.enumerated() {
            let rest = names[(index + 1)...]
            if name == GitNames.directory {
                let directory = Bytes(exact[...index].joined(separator: [Path.slash]))
                if repositories.comesOrGoes(directory) || GitNames.obeys(rest, isLink: isLink) { return true }
            }
            if repositories.shapes.isEmpty { continue }
            switch repositories.shapes[Bytes(exact[..<index].joined(separator: [Path.slash]))] {
            case .none: continue
            case .comes: return true
            case .stays: if GitNames.obeys(names[index...], isLink: isLink) { return true }
            }
        }
        return false
    }

    /// Whether the path is that of a directory above what a pattern names, as far as it can be told.
    private static func leads(_ names: [Bytes], to pattern: PathPattern) -> Bool {
        guard names.count < pattern.components.count else { return false }
        return zip(names, pattern.components).allSatisfy { $1.matches($0) }
    }

    private static func folded(_ pattern: PathPattern) -> PathPattern {
        var folded = pattern
        folded.components = pattern.components.map { component in
            switch component {
            case .literal(let name): .literal(FoldedName.fold(name))
            case .wildcard(let text): .wildcard(text.map { 0x41...0x5A ~= $0 ? $0 | 0x20 : $0 })
            case .anyDepth: .anyDepth
            }
        }
        return folded
    }

    // MARK: - What executes

    private func executes(_ change: Change) -> Bool {
        guard let after = change.after else { return false }
        if let before = change.before, before.kind == .file, after.kind == .file, before.mode & 0o111 == 0,
            after.mode & 0o111 != 0
        {
            return true
        }
        // A directory holds nothing itself, and a touch changes nothing that runs.
        if after.kind == .directory || change.kind == .mode { return false }
        let names = FoldedName.components(change.path)
        if let git = names.lastIndex(of: GitNames.directory), GitNames.continues(names[(git + 1)...]) { return true }
        guard let rule = HostNames.find(names, isLink: after.kind == .symlink) else { return false }
        let isNew = change.kind == .renamed || change.before?.kind != .file
        switch rule.when {
        case .changed: return true
        case .new: return isNew
        case .scripts: return isNew || after.kind != .file || !hasSameScripts(change.path)
        case .drivers: return after.kind != .file || namesDriver(change)
        }
    }

    private func hasSameScripts(_ path: Bytes) -> Bool {
        guard let old = around.before(path), let new = around.after(path) else { return false }
        do throws(JSONError) {
            return try JSON.parse(old)["scripts"] == JSON.parse(new)["scripts"]
        } catch {
            return false
        }
    }

    private func namesDriver(_ change: Change) -> Bool {
        let read = change.kind == .renamed ? change.from.flatMap(around.before) : around.after(change.path)
        guard let text = read ?? around.after(change.path) else { return true }
        return ["filter=", "diff=", "merge="].contains { text.holds(Bytes($0)) }
    }

    // MARK: - What hangs together

    /// What is written through one name of a file is read through the others.
    private static func spreadOverLinks(_ list: inout ChangeList) {
        var shared: [Bytes: Set<Change.Flag>] = [:]
        for change in list.changes {
            guard let leader = change.linkOf else { continue }
            shared[leader, default: []].formUnion(change.flags.intersection([.protected, .executes]))
        }
        if shared.isEmpty { return }
        for change in list.changes where change.linkOf == nil {
            shared[change.path]?.formUnion(change.flags.intersection([.protected, .executes]))
        }
        for index in list.changes.indices {
            let leader = list.changes[index].linkOf ?? list.changes[index].path
            if let flags = shared[leader] { list.changes[index].flags.formUnion(flags) }
        }
    }

    /// A directory can't go while something in it has to stay.
    private static func raise(_ list: inout ChangeList) {
        var above: Set<Bytes> = []
        for change in list.changes where change.flags.contains(.protected) {
            var path = Path.relativeParent(change.path)
            while !path.isEmpty, above.insert(path).inserted { path = Path.relativeParent(path) }
        }
        for index in list.changes.indices {
            let change = list.changes[index]
            guard change.before?.kind == .directory, change.after?.kind != .directory else { continue }
            if above.contains(change.path) { list.changes[index].flags.insert(.protected) }
        }
    }
}

extension Array where Element == UInt8 {
    func holds(_ part: Bytes) -> Bool {
        guard let first = part.first, count >= part.count else { return false }
        return indices.dropLast(part.count - 1).contains { self[$0] == first && self[$0...].starts(with: part) }
    }
}
