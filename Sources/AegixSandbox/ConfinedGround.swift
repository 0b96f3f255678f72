// Side effects: makes and removes a run's own directory on the host, with the copy of the workspace.

import AegixPlan
import AegixSystem
import CAegix
import Glibc

/// What tier confined needs on the host while a run takes. Gone with its owner, whatever happens.
public final class ConfinedGround {
    private let plan: ConfinedPlan
    private var made = false
    private var pinned: [Int32] = []
    private var top = Descriptor.none
    private var known: [Bytes: TreeCopy.Known] = [:]

    /// Stages: the directory, closed to others; what is in it, its owner's; the copy; what is held open.
    init(_ plan: ConfinedPlan) throws(Failure) {
        self.plan = plan
        // root's is passed through by the command's user and listed by nobody.
        try ConfinedGround.directory(plan.place, mode: plan.owner == nil ? 0o700 : 0o711)
        made = true
        for path in [plan.tmp, plan.home] { try make(path) }
        if let script = plan.script { try place(script) }
        if let copy = plan.copy {
            try make(Path.parent(copy.destination))
            try make(copy.destination)
            try take(copy)
        }
        for path in plan.pinned {
            do throws(SystemError) {
                pinned.append(try Descriptor.open(path, Descriptor.pathOnly).release())
            } catch {
                throw Failure("launch.confined", "can't hold \(path.shown) open", error)
            }
        }
    }

    deinit {
        for descriptor in pinned { close(descriptor) }
        if made { _ = ConfinedGround.clear(plan.place) }
    }

    private static func directory(_ path: Bytes, mode: mode_t) throws(Failure) {
        // By chmod: the caller's umask is taken off by mkdir.
        if path.withCString({ mkdir($0, 0o700) }) < 0 || path.withCString({ chmod($0, mode) }) < 0 {
            throw Failure("launch.confined", "can't make \(path.shown)", SystemError.last("mkdir", path))
        }
    }

    private func make(_ path: Bytes) throws(Failure) {
        try ConfinedGround.directory(path, mode: 0o700)
        guard let owner = plan.owner else { return }
        if path.withCString({ lchown($0, owner.uid, owner.gid) }) < 0 {
            throw Failure("launch.confined", "can't give \(path.shown) to its owner", SystemError.last("chown", path))
        }
    }

    private func place(_ script: Invocation.Script) throws(Failure) {
        let directory = Path.parent(script.path)
        try ConfinedGround.directory(directory, mode: plan.owner == nil ? 0o700 : 0o711)
        do throws(SystemError) {
            let file = try Descriptor.open(script.path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600)
            try file.writeAll(script.content)
            if fchmod(file.raw, 0o555) < 0 { throw SystemError.last("chmod", script.path) }
        } catch {
            throw Failure("launch.confined", "can't put the script where the command can read it", error)
        }
    }

    private func take(_ copy: ConfinedPlan.Copy) throws(Failure) {
        do throws(SystemError) {
            top = try Descriptor.open(copy.destination, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
        } catch {
            throw Failure("workspace.copy", "can't copy the workspace", error)
        }
        let raw = top.raw
        known = try Impersonation.acting(as: plan.owner) { () throws(Failure) in
            var tree = TreeCopy(copy, top: raw)
            try tree.run()
            return tree.known
        }
    }

    /// After the last process is gone: the changes go to the layer, everything else goes away.
    func finish(ran: Bool) throws(Failure) {
        if ran, let copy = plan.copy {
            do throws(SystemError) {
                let changes = try CopyChanges(copy, known: known, owner: plan.owner)
                do throws(Failure) {
                    try changes.take(top.raw)
                } catch {
                    // Not thrown away: what couldn't be taken is still in the copy.
                    made = false
                    throw SystemError("take", Bytes(error.message), errno: error.errno ?? EIO)
                }
            } catch {
                throw Failure(
                    "layer.copy",
                    "can't take the changes out of the workspace's copy, which stays in \(copy.destination.shown)",
                    error,
                    exitCode: 123)
            }
        }
        made = false
        if let error = ConfinedGround.clear(plan.place) {
            throw Failure("layer.unclean", "can't remove \(plan.place.shown)", error, exitCode: 123)
        }
    }

    /// What a killed aegix left of a run's directory.
    public static func clear(run: Bytes, uid: uid_t) -> SystemError? { clear(ConfinedPlan.place(run: run, uid: uid)) }

    /// Removes what a run left, however deep, wide or closed it is: each directory is moved to the top before it is emptied,
    /// so that neither descriptors nor the stack grow with it.
    static func clear(_ place: Bytes) -> SystemError? {
        do throws(SystemError) {
            let root = try Descriptor.open(place, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
            var waiting: [Bytes] = []
            var number = 0
            try empty(root.raw, into: root.raw, &waiting, &number)
            while let name = waiting.popLast() {
                _ = name.withCString { fchmodat(root.raw, $0, 0o700, 0) }
                let inner = try Descriptor.openBeneath(root.raw, name, O_RDONLY | O_DIRECTORY)
                try empty(inner.raw, into: root.raw, &waiting, &number)
                if name.withCString({ unlinkat(root.raw, $0, AT_REMOVEDIR) }) < 0 {
                    throw SystemError.last("rmdir", name)
                }
            }
            if place.withCString({ rmdir($0) }) < 0 { throw SystemError.last("rmdir", place) }
            return nil
        } catch {
            return error.errno == ENOENT ? nil : error
        }
    }

    private static func empty(
        _ directory: Int32, into root: Int32, _ waiting: inout [Bytes], _ number: inout Int
    ) throws(SystemError) {
        for entry in try DirectoryListing.entries(
            try Descriptor.openBeneath(directory, Bytes("."), O_RDONLY | O_DIRECTORY))
        {
            if entry.name.withCString({ unlinkat(directory, $0, 0) }) == 0 { continue }
            if errno != EISDIR, errno != EPERM { throw SystemError.last("unlink", entry.name) }
            number += 1
            let name = Bytes(".aegix-gone-\(number)")
            // Moving a directory writes its `..`.
            _ = entry.name.withCString { fchmodat(directory, $0, 0o700, 0) }
            let rc = entry.name.withCString { from in name.withCString { aegix_move(directory, from, root, $0) } }
            if rc < 0 { throw SystemError.last("rename", entry.name) }
            waiting.append(name)
        }
    }
}
