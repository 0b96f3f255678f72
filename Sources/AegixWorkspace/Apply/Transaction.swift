// Side effects: changes a workspace, all or nothing, and puts it back.

import AegixSystem
import CAegix
import Glibc

/// Carries out steps on a workspace. Everything new is in the staging directory before, everything old is in it afterwards.
///
/// Undoing goes by what is on disk, never by what was remembered: what lies in a slot says whether its step was done. So it
/// can be begun again after a kill, also one in the middle of an undoing.
struct Transaction {
    let workspace: Tree
    let staging: Tree
    let steps: [Step]

    /// Runs them all; after any failure none.
    func run() throws(TransactionFault) {
        for index in steps.indices {
            do throws(TransactionFault) {
                try run(steps[index])
            } catch {
                do throws(SystemError) {
                    let left = try undo(upTo: index)
                    if !left.isEmpty { throw SystemError("undo", left[0], errno: EBUSY) }
                } catch {
                    throw .stuck(error)
                }
                throw error
            }
        }
    }

    private func run(_ step: Step) throws(TransactionFault) {
        do throws(SystemError) {
            let parent = try workspace.parent(of: step.path)
            let name = Transaction.name(step.path)
            switch step.verb {
            case .put: try staging.move(step.slotName, to: parent, name)
            case .exchange:
                try parent.exchange(name, with: staging, step.slotName)
                try verify(step)
            case .take:
                try parent.move(name, to: staging, step.slotName)
                try verify(step)
            case .attributes: try set(step.newAttributes, from: step.oldAttributes, step)
            }
        } catch {
            switch error.errno {
            case ESTALE: throw .conflicts([Conflict(step.path, "was changed while it was applied")])
            case EEXIST: throw .conflicts([Conflict(step.path, "was made by somebody else meanwhile")])
            default:
                if error.errno != EACCES, let reason = BaseCheck.reason(error) {
                    throw .conflicts([Conflict(step.path, reason)])
                }
                throw .failed("can't change \(step.path.isEmpty ? "the workspace itself" : step.path.shown)", error)
            }
        }
    }

    /// What was taken is what was checked. It is out of everybody's reach now, so this holds.
    private func verify(_ step: Step) throws(SystemError) {
        guard let old = step.old, try Transaction.holds(old, staging, step.slotName) else {
            throw SystemError("verify", step.path, errno: ESTALE)
        }
    }

    private func set(_ wanted: FileAttributes?, from known: FileAttributes?, _ step: Step) throws(SystemError) {
        guard let wanted, let known, let identity = step.old?.root.identity else { return }
        let place = try workspace.place(step.path)
        let facts = try FileFacts(of: place)
        guard facts.inode == identity.inode, facts.device == identity.device,
            try FileAttributes(of: place, facts) == known
        else { throw SystemError("verify", step.path, errno: ESTALE) }
        try wanted.set(on: place)
    }

    /// The top itself is called `.` beneath itself.
    private static func name(_ path: Bytes) -> Bytes { path.isEmpty ? Bytes(".") : Path.name(path) }

    // MARK: - Back

    /// The last first. Returns the paths that somebody has changed since, which are left as they are.
    func undo(upTo last: Int? = nil) throws(SystemError) -> [Bytes] {
        var left: [Bytes] = []
        for step in steps[...(last ?? steps.count - 1)].reversed() where !(try undo(step)) { left.append(step.path) }
        return left
    }

    /// Whether nothing of the step is left.
    private func undo(_ step: Step) throws(SystemError) -> Bool {
        let inSlot = step.verb == .attributes ? nil : try staging.facts(name: step.slotName)
        func isInSlot(_ image: Image?) -> Bool {
            guard let inSlot, let image else { return false }
            return inSlot.inode == image.root.identity.inode && Entry.Kind(inSlot.type) == image.root.kind
        }
        do throws(SystemError) {
            switch step.verb {
            case .put:
                if inSlot != nil { return true }
                let parent = try workspace.parent(of: step.path)
                guard let new = step.new, try Transaction.holds(new, parent, Path.name(step.path)) else {
                    return try isUntaken(step)
                }
                try parent.move(Path.name(step.path), to: staging, step.slotName)
            case .take:
                if inSlot == nil { return true }
                try staging.move(step.slotName, to: try workspace.parent(of: step.path), Path.name(step.path))
            case .exchange:
                if isInSlot(step.new) { return true }
                let parent = try workspace.parent(of: step.path)
                guard inSlot != nil, let new = step.new, try Transaction.holds(new, parent, Path.name(step.path)) else {
                    return false
                }
                try parent.exchange(Path.name(step.path), with: staging, step.slotName)
            case .attributes: return try unset(step)
            }
        } catch {
            if step.verb == .put, inSlot == nil, error.errno == ENOENT { return try isUntaken(step) }
            if [ENOENT, ENOTDIR, ELOOP, EXDEV, EEXIST, ENOTEMPTY].contains(error.errno) { return false }
            throw error
        }
        return true
    }

    /// A directory that was to move, and is where it was.
    private func isUntaken(_ step: Step) throws(SystemError) -> Bool {
        guard let take = steps.first(where: { $0.verb == .take && $0.slot == step.slot }), let old = take.old else {
            return false
        }
        return try Transaction.holds(old, try workspace.parent(of: take.path), Path.name(take.path))
    }

    /// A kill may have come between any two of its calls, so all of them are undone; but a file that was written to since
    /// isn't touched.
    private func unset(_ step: Step) throws(SystemError) -> Bool {
        guard let old = step.oldAttributes, let new = step.newAttributes, let identity = step.old?.root.identity else {
            return true
        }
        let place = try workspace.place(step.path)
        let facts = try FileFacts(of: place)
        guard facts.inode == identity.inode, facts.device == identity.device else { return false }
        if facts.isFile, facts.modified != old.modified, facts.modified != new.modified { return false }
        try old.set(on: place)
        return true
    }

    // MARK: - Looking

    /// Whether what lies there is the image, as objects on disk: nothing else, nothing written to since.
    static func holds(_ image: Image, _ tree: Tree, _ name: Bytes) throws(SystemError) -> Bool {
        guard let facts = try tree.facts(name: name), isSame(facts, image.root) else { return false }
        if !facts.isDirectory || !image.isWhole { return true }
        var children: [Bytes: [Image.Node]] = [:]
        for node in image.nodes.dropFirst() { children[Path.relativeParent(node.path), default: []].append(node) }
        var waiting: [Bytes] = [[]]
        while let path = waiting.popLast() {
            let expected = children[path] ?? []
            let directory: Tree
            do throws(SystemError) {
                directory = try tree.directory(Path.join(name, path))
            } catch {
                // Closed by its mode, which nobody but its owner has opened to come in.
                if error.errno == EACCES { continue }
                throw error
            }
            if try directory.entries().count != expected.count { return false }
            for node in expected {
                guard let found = try directory.facts(name: Path.name(node.path)), isSame(found, node.entry) else {
                    return false
                }
                if found.isDirectory { waiting.append(node.path) }
            }
        }
        return true
    }

    /// Without the time of its inode: to be moved or linked changes it. Nor with that of the content where there are other names,
    /// by which a step before may have set it.
    private static func isSame(_ found: FileFacts, _ known: Entry) -> Bool {
        let entry = Entry(found)
        guard entry.kind == known.kind, entry.identity.inode == known.identity.inode,
            entry.identity.device == known.identity.device
        else { return false }
        if entry.kind != .file { return true }
        return entry.size == known.size && (known.identity.links > 1 || entry.modified == known.modified)
    }
}
