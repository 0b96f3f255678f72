// Pure. From changes that are to be made to steps, in an order in which each finds what it needs.

import AegixSystem

/// What a run's changes come to as steps.
///
/// Order: closed directories are opened; directories that move go out of the way, the deepest first; then everything in
/// the order of paths, a directory before what is in it, at one path what goes before what comes; then the attributes of
/// files, whose other names may have gone before; last those of directories, the deepest first, since they may close them.
struct ApplyPlan {
    private(set) var items: [Item] = []
    private let checked: [Checked]
    private let moves: [Bytes: Bytes]
    /// Exchanges aren't known to this file system: what is replaced goes first.
    private let exchanges: Bool
    private var slots = 0
    /// Old names of files that were renamed.
    private let sources: [(from: Bytes, entry: Entry, isOfOld: Bool)]

    struct Item {
        var step: Step
        /// Changes of the layer to be staged in the slot: the path's own and those beneath it.
        var staged: [Change] = []
        /// A directory that closes itself to its owner, who couldn't move it then.
        var closes = false
    }

    init(_ checked: [Checked], moves: [Bytes: Bytes], exchanges: Bool) {
        self.checked = checked.sorted { $0.change.path.lexicographicallyPrecedes($1.change.path) }
        self.moves = moves
        sources = checked.compactMap { one in
            guard one.change.after?.kind != .directory, let from = one.change.from, let entry = one.foundSource else {
                return nil
            }
            return (from, entry, one.isOfOld)
        }
        self.exchanges = exchanges
        make()
    }

    private mutating func make() {
        var moved: [Bytes: Int] = [:]
        for one in checked.filter({ isMove($0) }).sorted(by: { depth($0.change.from) > depth($1.change.from) }) {
            guard let from = one.change.from, let found = one.foundSource else { continue }
            let slot = next()
            moved[one.change.path] = slot
            items.append(Item(step: Step(verb: .take, path: from, slot: slot, old: Image(found, isWhole: false))))
        }
        var placed: [(path: Bytes, rank: Int, item: Item)] = []
        var last: [Item] = []
        // After all else: another name of the file may go, as what it was.
        var attributes: [Item] = []
        var set: Set<UInt64> = []
        let made = roots { $0.change.after?.kind == .directory && $0.change.kind != .mode && !isMove($0) }
        let gone = roots { $0.change.before?.kind == .directory && $0.change.after?.kind != .directory }
        for one in checked {
            let change = one.change
            if let source = one.foundSource, let from = change.from, !isMove(one),
                within(from, gone, isOfOld: one.isOfOld) == nil
            {
                let step = Step(verb: .take, path: from, slot: next(), old: Image(source))
                placed.append((from, 0, Item(step: step)))
            }
            if one.isThere { continue }
            if isMove(one) {
                guard let slot = moved[change.path], let found = one.foundSource else { continue }
                let step = Step(verb: .put, path: change.path, slot: slot, new: Image(found, isWhole: false))
                placed.append((change.path, 2, Item(step: step)))
                if let after = change.after, after.mode != found.mode || after.attributes != change.before?.attributes {
                    last.append(
                        Item(step: Step(verb: .attributes, path: change.path, old: Image(found)), staged: [change]))
                }
            } else if change.after == nil {
                if within(change.path, gone, isOfOld: one.isOfOld) != nil { continue }
                let step = Step(verb: .take, path: change.path, slot: next(), old: old(one))
                placed.append((change.path, 0, Item(step: step)))
            } else if change.kind == .mode, !one.joins, change.after?.kind != .symlink, let found = one.found {
                // One step sets it under all its names.
                if found.kind == .file, !set.insert(found.identity.inode).inserted { continue }
                let step = Step(verb: .attributes, path: change.path, old: Image(found))
                let item = Item(step: step, staged: [change])
                if found.kind == .directory { last.append(item) } else { attributes.append(item) }
            } else {
                if within(change.path, made) != nil { continue }
                let image = one.found == nil ? nil : old(one)
                let staged = made.contains(change.path) ? staged(change) : [change]
                if image != nil, !exchanges {
                    placed.append(
                        (change.path, 0, Item(step: Step(verb: .take, path: change.path, slot: next(), old: image))))
                }
                let verb: Step.Verb = image == nil || !exchanges ? .put : .exchange
                let step = Step(verb: verb, path: change.path, slot: next(), old: verb == .put ? nil : image)
                placed.append((change.path, 1, Item(step: step, staged: staged)))
            }
        }
        placed.sort { $0.path == $1.path ? $0.rank < $1.rank : $0.path.lexicographicallyPrecedes($1.path) }
        items += placed.map(\.item) + attributes + last.reversed()
    }

    private mutating func next() -> Int {
        slots += 1
        return slots
    }

    private func isMove(_ one: Checked) -> Bool { one.change.kind == .renamed && one.change.after?.kind == .directory }

    private func depth(_ path: Bytes?) -> Int { path?.count { $0 == Path.slash } ?? 0 }

    private func roots(_ isOne: (Checked) -> Bool) -> Set<Bytes> { Set(checked.filter(isOne).map(\.change.path)) }

    /// The nearest directory above that is made, or goes, as a whole. What lies in a directory that moves isn't part of
    /// what it moves into, nor of what made room for it.
    private func within(_ path: Bytes, _ roots: Set<Bytes>, isOfOld: Bool = false) -> Bytes? {
        var above = Path.relativeParent(path)
        while !above.isEmpty {
            if moves[above] != nil, !isOfOld { return nil }
            if roots.contains(above) { return above }
            above = Path.relativeParent(above)
        }
        return nil
    }

    /// Checked changes beneath a path: they stand together, since their paths are in order.
    private func beneath(_ root: Bytes) -> ArraySlice<Checked> {
        let prefix = root + [Path.slash]
        var (low, high) = (0, checked.count)
        while low < high {
            let middle = (low + high) / 2
            if checked[middle].change.path.lexicographicallyPrecedes(prefix) { low = middle + 1 } else { high = middle }
        }
        return checked[low...].prefix { $0.change.path.starts(with: prefix) }
    }

    /// New things in a new directory, staged with it.
    private func staged(_ root: Change) -> [Change] {
        [root]
            + beneath(root.path).filter { one in
                !isMove(one) && !one.isThere && one.change.after != nil && !isInMoved(one.change.path, below: root.path)
            }.map(\.change)
    }

    private func isInMoved(_ path: Bytes, below root: Bytes) -> Bool {
        var above = Path.relativeParent(path)
        while above != root {
            if moves[above] != nil { return true }
            above = Path.relativeParent(above)
        }
        return false
    }

    /// What goes: the path, and where it is a directory, all that was listed in it.
    private func old(_ one: Checked) -> Image? {
        guard let found = one.found else { return nil }
        if found.kind != .directory { return Image(found) }
        var nodes = [Image.Node(path: [], entry: found)]
        let root = one.change.path
        let isVacated = moves[root] != nil
        for other in beneath(root) where other.isOfOld || !isVacated && !isInMoved(other.change.path, below: root) {
            guard let entry = other.found else { continue }
            nodes.append(Image.Node(path: Bytes(other.change.path[(root.count + 1)...]), entry: entry))
        }
        for other in sources where Path.contains(root, other.from) && (!isVacated || other.isOfOld) {
            nodes.append(Image.Node(path: Bytes(other.from[(root.count + 1)...]), entry: other.entry))
        }
        return Image(nodes)
    }
}
