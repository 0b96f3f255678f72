// Pure. Files that were used outside of the workspace ─► `[files]`.

import AegixSystem

/// What was read is named, what was listed is named as a whole, and three of one directory stand for it. Nothing rises above the rule
/// that brought it into view, nor to a home or to what lies at the top of the tree.
struct LearnedFiles {
    private struct Need {
        var rule: Policy.PathRule
        /// From the rule's place; wildcards where a name is made anew by each run.
        var components: [PathPattern.Component]
        /// All beneath.
        var isWhole: Bool
        var isWritten: Bool
        var reason: String
    }

    private var needs: [Need] = []
    private var leftOut: [String] = []
    private let within: Policy
    private let anchors: PolicyAnchors
    private static let fewest = 3
    private static let mostEntries = 100

    init(_ seen: Observations, _ within: Policy, _ anchors: PolicyAnchors) {
        self.within = within
        self.anchors = anchors
        for file in seen.files { add(file) }
        if seen.hasMoreFiles { addRules("more files than are kept were used") }
        for isWritten in [true, false] { fold(isWritten) }
        dropCovered()
        for isWritten in [true, false]
        where needs.count(where: { $0.isWritten == isWritten }) > LearnedFiles.mostEntries {
            for index in needs.indices where needs[index].isWritten == isWritten {
                needs[index].components = []
                needs[index].isWhole = true
            }
            dropCovered()
        }
    }

    func put(into learned: inout LearnedPolicy) {
        var lists: [PolicyKey: ([Policy.PathRule], [String])] = [:]
        for need in needs {
            let rule = Policy.PathRule(pattern: text(need), origin: "learned", beneath: need.rule.beneath)
            let key: PolicyKey = need.isWritten ? .filesWrite : .filesRead
            if lists[key]?.0.contains(where: { $0.pattern == rule.pattern }) == true { continue }
            lists[key, default: ([], [])].0.append(rule)
            lists[key]?.1.append(need.reason)
        }
        (learned.policy.files.read, learned.entryReasons[.filesRead]) = lists[.filesRead] ?? ([], [])
        (learned.policy.files.write, learned.entryReasons[.filesWrite]) = lists[.filesWrite] ?? ([], [])
        addDenials(&learned)
        learned.leftOut += leftOut
    }

    // MARK: - Needs

    private mutating func add(_ file: Observations.File) {
        let names = self.names(of: file.rule) + file.names
        if SensitivePath.isOne(names) {
            let path = LearnedText.short(Path.absolute(names))
            let line = "\(path): looks like a place of keys or tokens. Name it under [files] yourself if it is needed"
            if !leftOut.contains(line) { leftOut.append(line) }
            return
        }
        let isOpened = file.use != .looked
        if !isOpened, file.isDirectory, !file.hasLink { return }  // it is there as the way to what is read in it
        let isWritten =
            (file.use == .written || file.use == .named)
            && within.files.write.contains { $0.pattern == file.rule.pattern }
        var path = file.names
        // To make, remove or rename a name is to write its directory.
        if isWritten, file.use == .named || !file.isDirectory, !path.isEmpty { path.removeLast() }
        let isWhole = isWritten || file.isDirectory && (file.use == .listed || file.hasLink)
        let verb: String =
            switch file.use {
            case .looked: file.hasLink ? "links followed" : "looked for"
            case .read: "read"
            case .listed: "listed"
            case .written: "written"
            case .named: "names changed"
            }
        let by = file.by.isEmpty ? "" : " by \(LearnedText.program(file.by))"
        let need = Need(
            rule: file.rule, components: components(path, of: file.rule), isWhole: isWhole, isWritten: isWritten,
            reason: verb + by)
        if text(need).count > 4095 {
            leftOut.append("\(LearnedText.short(Path.absolute(names))): its path is too long for a policy")
        } else {
            needs.append(need)
        }
    }

    /// A name that is nothing but a number or digest becomes `*` only where a directory may stand for what lies in it.
    private func components(_ path: [Bytes], of rule: Policy.PathRule) -> [PathPattern.Component] {
        var place = names(of: rule)
        return path.map { name in
            let pattern = NameShape.pattern(name)
            let isLiteral = !NameShape.isGeneral(name) || pattern == Bytes("*") && !mayStand(place)
            place.append(name)
            return isLiteral ? .literal(name) : .wildcard(pattern)
        }
    }

    private mutating func addRules(_ reason: String) {
        for rule in within.files.read {
            needs.append(.init(rule: rule, components: [], isWhole: true, isWritten: false, reason: reason))
        }
        for rule in within.files.write {
            needs.append(.init(rule: rule, components: [], isWhole: true, isWritten: true, reason: reason))
        }
    }

    private func names(of rule: Policy.PathRule) -> [Bytes] {
        pattern(rule).absolute(home: anchors.home, workspace: anchors.workspace)?.literalPrefix ?? []
    }

    private func pattern(_ rule: Policy.PathRule) -> PathPattern {
        do { return try PathPattern(rule.pattern) } catch { return PathPattern(literal: rule.pattern) }
    }

    /// Only a literal rule can be gone beneath; another one is taken as it is.
    private func text(_ need: Need) -> Bytes {
        var whole = pattern(need.rule)
        if !whole.isLiteral { return need.rule.pattern }
        whole.components += need.components
        return whole.text
    }

    // MARK: - Fewer of them

    /// From the deepest: three of a directory become the directory.
    private mutating func fold(_ isWritten: Bool) {
        var depth = needs.map(\.components.count).max() ?? 0
        while depth > 0 {
            var groups: [Bytes: [Int]] = [:]
            for index in needs.indices
            where needs[index].isWritten == isWritten && needs[index].components.count == depth {
                var parent = needs[index]
                parent.components.removeLast()
                groups[needs[index].rule.pattern + [0] + text(parent), default: []].append(index)
            }
            for members in groups.values {
                let names = Set(members.map { needs[$0].components[depth - 1] })
                guard names.count >= LearnedFiles.fewest, mayHold(needs[members[0]]) else { continue }
                let first = members.min() ?? members[0]
                needs[first].components.removeLast()
                needs[first].isWhole = true
                needs[first].reason += ", and \(names.count - 1) more of it"
                for index in members where index != first {
                    needs[index].components = needs[first].components
                    needs[index].isWhole = true
                }
            }
            depth -= 1
        }
    }

    /// Whether a directory may stand for what lies in it.
    private func mayHold(_ need: Need) -> Bool {
        let parent =
            names(of: need.rule)
            + need.components.dropLast().map { component in
                if case .literal(let name) = component { return name }
                return Bytes("*")
            }
        return mayStand(parent)
    }

    private func mayStand(_ place: [Bytes]) -> Bool {
        func isAbove(_ other: Bytes?) -> Bool { other.map { Path.components($0).starts(with: place) } ?? false }
        return place.count >= 2 && !isAbove(anchors.home) && !isAbove(anchors.workspace)
    }

    private mutating func dropCovered() {
        var kept: [Need] = []
        for need in needs.sorted(by: { $0.components.count < $1.components.count }) {
            let isHeld = kept.contains { other in
                other.rule.pattern == need.rule.pattern && other.isWritten == need.isWritten
                    && (other.isWhole && need.components.starts(with: other.components)
                        || other.components == need.components)
            }
            if !isHeld { kept.append(need) }
        }
        needs = kept.sorted { text($0).lexicographicallyPrecedes(text($1)) }
    }

    /// A directory that is granted as a whole may hold what nobody has seen yet. Programs' own places don't.
    private func addDenials(_ learned: inout LearnedPolicy) {
        var reasons = learned.policy.files.deny.map { _ in "kept" }
        let home = anchors.home.map(Path.components)
        for var need in needs {
            if !need.isWhole {
                guard case .wildcard? = need.components.popLast() else { continue }
            }
            let place =
                names(of: need.rule)
                + need.components.map { component in
                    if case .literal(let name) = component { return name }
                    return Bytes("*")
                }
            let isInner = needs.contains { other in
                other.isWhole && text(other) != text(need) && text(need).starts(with: text(other) + [Path.slash])
            }
            if isInner { continue }
            let isAboveHome = home?.starts(with: place) ?? false
            if !isAboveHome, ["opt", "usr", "nix", "var"].contains(where: { place.first == Bytes($0) }) { continue }
            for name in isAboveHome ? SensitivePath.patterns : SensitivePath.fewPatterns {
                let pattern = text(need) + [Path.slash] + Bytes(name)
                if learned.policy.files.deny.contains(where: { $0.pattern == pattern || $0.pattern == Bytes(name) }) {
                    continue
                }
                learned.policy.files.deny.append(.init(pattern: pattern, origin: "learned"))
                reasons.append("may hold keys or tokens")
            }
        }
        learned.entryReasons[.filesDeny] = reasons
    }
}
