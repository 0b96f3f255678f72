// Side effects: makes and removes a run's own directory on the host, with the copy of the workspace.

import AegixPlan
import AegixSystem
import AegixWorkspace
import CAegix
import Glibc

/// What tier confined needs on the host while a run takes. Gone with its owner, whatever happens.
public final class ConfinedGround {
    private let plan: ConfinedPlan
    private var made = false
    private var pinned: [Int32] = []
    private var copy: CopyGround?

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
            self.copy = try CopyGround(copy, owner: plan.owner)
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
        // Best effort: the next command clears what stays.
        if made { do throws(SystemError) { try TreeRemoval.remove(plan.place) } catch {} }
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

    /// After the last process is gone: the changes go to the layer, everything else goes away.
    func finish(ran: Bool) throws(Failure) {
        if ran, let copy {
            do throws(Failure) {
                try copy.finish()
            } catch {
                made = false  // what couldn't be taken is still in the copy
                throw error
            }
        }
        made = false
        do throws(SystemError) {
            try TreeRemoval.remove(plan.place)
        } catch {
            throw Failure("layer.unclean", "can't remove \(plan.place.shown)", error, exitCode: 123)
        }
    }

    /// What a killed aegix left of a run's directory.
    public static func clear(run: Bytes, uid: uid_t) throws(SystemError) {
        try TreeRemoval.remove(ConfinedPlan.place(run: run, uid: uid))
    }
}
