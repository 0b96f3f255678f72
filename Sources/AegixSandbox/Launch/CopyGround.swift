// Side effects: copies a workspace before a run, and takes the changes out of the copy after it.

import AegixPlan
import AegixSystem
import AegixWorkspace
import CAegix
import Glibc

/// A workspace's copy while a run works on it. The destination is there and empty.
final class CopyGround {
    private let plan: WorkspaceCopy
    private let owner: ConfinedPlan.Owner?
    private let top: Tree
    private let known: [Bytes: WorkspaceCopy.Known]
    /// Removed with this, as long as it holds nothing that isn't elsewhere.
    private var place: Bytes?

    /// - owner: whose the copy is, where root calls for a command that is somebody else: it reads what that user may.
    init(_ plan: WorkspaceCopy, owner: ConfinedPlan.Owner?) throws(Failure) {
        self.plan = plan
        self.owner = owner
        do throws(SystemError) {
            top = try Tree(at: plan.destination)
        } catch {
            throw Failure("workspace.copy", "can't copy the workspace", error)
        }
        let top = top
        known = try Impersonation.acting(as: owner) { () throws(Failure) in
            var tree = TreeCopy(plan, top: top)
            try tree.run()
            return tree.known
        }
    }

    /// For a layer of the run's own: in its directory, removed with the object.
    static func make(_ plan: WorkspaceCopy) throws(Failure) -> CopyGround {
        let place = Path.parent(plan.destination)
        for path in [place, plan.destination] where path.withCString({ mkdir($0, 0o700) }) < 0 {
            throw Failure("workspace.copy", "can't make \(path.shown)", SystemError.last("mkdir", path))
        }
        do throws(Failure) {
            let ground = try CopyGround(plan, owner: nil)
            ground.place = place
            return ground
        } catch {
            // Why there is no copy is the one to tell.
            do throws(SystemError) { try TreeRemoval.remove(place) } catch {}
            throw error
        }
    }

    /// Best effort: of a run that never began.
    deinit { if let place { do throws(SystemError) { try TreeRemoval.remove(place) } catch {} } }

    /// After the last process is gone: the changes go to the layer.
    func finish() throws(Failure) {
        do throws(Failure) {
            let changes: CopyChanges
            do throws(SystemError) {
                changes = try CopyChanges(
                    plan, top: top, known: known, owner: owner.map { .init(uid: $0.uid, gid: $0.gid) })
            } catch {
                throw Failure("layer.copy", "can't open the layer", error)
            }
            try changes.take()
        } catch {
            place = nil  // what couldn't be taken is still in the copy
            throw Failure(
                "layer.copy", "\(error.message); what the run left stays in \(plan.destination.shown)",
                errno: error.errno, exitCode: 123)
        }
    }

    /// Once nothing of it is needed any more.
    func remove() throws(Failure) {
        guard let place else { return }
        self.place = nil
        do throws(SystemError) {
            try TreeRemoval.remove(place)
        } catch {
            throw Failure("layer.unclean", "can't remove \(place.shown)", error, exitCode: 123)
        }
    }
}
