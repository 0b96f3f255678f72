// Side effects: reads the workspace. Whether it still is what an apply left.

import AegixSystem
import Glibc

/// The way back, checked: each path that was changed has to be as it was left, by content, type and mode.
enum ResetCheck {
    /// The last first. Only the first step of each path meets what lies there now; the others meet what that one leaves.
    static func inverse(of applied: [Step], in base: Tree) throws(SystemError) -> (steps: [Step], conflicts: [Conflict])
    {
        let own = Set(applied.map(\.path))
        var seen: Set<Bytes> = []
        var (steps, conflicts): ([Step], [Conflict]) = ([], [])
        let reader = EntryReader(ListingBounds())
        for var step in applied.reversed().map(\.inverse) {
            if step.verb == .attributes, step.old == nil { (step.old, step.new) = (step.new, nil) }
            if seen.insert(step.path).inserted {
                do throws(SystemError) {
                    if let reason = try check(&step, in: base, own, reader) {
                        conflicts.append(Conflict(step.path, reason))
                    }
                } catch {
                    guard let reason = BaseCheck.reason(error) else { throw error }
                    conflicts.append(Conflict(step.path, reason))
                }
            }
            steps.append(step)
        }
        return (steps, conflicts)
    }

    /// What stands in the way; nil: nothing does.
    private static func check(
        _ step: inout Step, in base: Tree, _ own: Set<Bytes>, _ reader: EntryReader
    ) throws(SystemError) -> String? {
        switch step.verb {
        case .put:
            let facts: FileFacts?
            do throws(SystemError) {
                facts = try base.facts(step.path)
            } catch {
                if error.errno == ENOENT { return nil }
                throw error
            }
            return facts == nil ? nil : "was made by somebody else since"
        case .take, .exchange:
            guard let image = step.old, let found = try look(image, step.path, in: base, own, reader) else {
                return "was changed since it was applied"
            }
            step.old = found
        case .attributes:
            let place = try base.place(step.path)
            let facts = try FileFacts(of: place)
            guard let identity = step.old?.root.identity, facts.inode == identity.inode,
                facts.device == identity.device, try FileAttributes(of: place, facts) == step.oldAttributes
            else { return "was changed since it was applied" }
        }
        return nil
    }

    /// The image as it is on disk now; nil: it isn't what it was. In a directory that was made, other steps may have put more.
    private static func look(
        _ image: Image, _ path: Bytes, in base: Tree, _ own: Set<Bytes>, _ reader: EntryReader
    ) throws(SystemError) -> Image? {
        let parent = try base.parent(of: path)
        var known: [Bytes: [Image.Node]] = [:]
        for node in image.nodes.dropFirst() { known[Path.relativeParent(node.path), default: []].append(node) }
        var nodes: [Image.Node] = []
        func see(_ node: Image.Node, _ tree: Tree, _ name: Bytes) throws(SystemError) -> Bool {
            guard let facts = try tree.facts(name: name) else { return false }
            let entry = Entry(facts)
            if entry.kind != node.entry.kind { return false }
            nodes.append(Image.Node(path: node.path, entry: entry))
            if !image.isWhole { return true }
            if facts.permissions & ~0o6000 != node.entry.mode || facts.isFile && facts.size != node.entry.size {
                return false
            }
            let full = try reader.entry(name, in: tree, facts, own: false)
            if full.attributes != node.entry.attributes || !full.hasContent(of: node.entry) { return false }
            nodes[nodes.count - 1].entry = full
            if !facts.isDirectory { return true }
            let inner = try tree.directory(name)
            let children = known[node.path] ?? []
            let names = Set(children.map { Path.name($0.path) })
            let place = Path.join(path, node.path)
            for entry in try inner.entries() where !names.contains(entry.name) {
                if !own.contains(Path.join(place, entry.name)) { return false }
            }
            for child in children where !(try see(child, inner, Path.name(child.path))) { return false }
            return true
        }
        guard let root = image.nodes.first, try see(root, parent, Path.name(path)) else { return nil }
        return Image(nodes, isWhole: image.isWhole)
    }

    /// The same content as other objects on disk.
    static func refreshed(_ image: Image, _ tree: Tree, _ name: Bytes) throws(SystemError) -> Image {
        var image = image
        for index in image.nodes.indices {
            let path = Path.join(name, image.nodes[index].path)
            guard let facts = try tree.facts(path) else { throw SystemError("stat", path, errno: ENOENT) }
            image.nodes[index].entry.identity = Entry(facts).identity
        }
        return image
    }
}
