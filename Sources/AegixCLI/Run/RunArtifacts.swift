// Side effects: makes --out's directory, and copies artifacts. What a run has to do with its artifacts.

import AegixAudit
import AegixPlan
import AegixPolicy
import AegixSandbox
import AegixSystem
import AegixWorkspace
import Glibc

extension RunPreparation {
    /// Before anything runs: a directory that can't be had is told at once.
    func openOut() throws(Failure) -> ArtifactOut? {
        guard let out = options.out else { return nil }
        let path = Path.join(facts.cwd, out)
        let writable = ([facts.workspace] + facts.writes).map {
            ArtifactOut.Writable(device: $0.device, inode: $0.inode)
        }
        do {
            let closed = ArtifactOut.Closed(
                writable: writable, own: RunPreparation.guarded(state: state, home: PolicyStack.home, signer: signer))
            let made = try ArtifactOut(path, closed: closed)
            if made.isPlace(writable[0]) {
                throw Failure(
                    "artifacts.out",
                    "artifacts can't go to \(out.shown), the workspace itself: that would be an apply without a review. "
                        + "Name another directory, or use `aegix apply`")
            }
            return made
        } catch let failure as Failure {
            throw failure
        } catch let refusal as ArtifactOut.Refusal {
            throw Failure(
                "artifacts.out",
                "artifacts can't go to \(out.shown), which lies in \(refusal.what): a command would choose what stands "
                    + "there. Name another directory")
        } catch let error as SystemError {
            if error.errno == ELOOP {
                throw Failure(
                    "artifacts.out",
                    "can't put artifacts into \(out.shown): a symlink or `..` is on the way to it in a directory that runs "
                        + "write to, and a previous run may have made it. Write the path out", errno: error.errno)
            }
            throw Failure("artifacts.out", "can't put artifacts into \(out.shown)", error)
        } catch {
            throw Failure("artifacts.out", "can't put artifacts into \(out.shown)")
        }
    }
}

/// What is collected, from where, and what isn't.
struct RunArtifacts {
    private let policy: Policy
    private var ground: ArtifactWalk.Ground
    private let failure: String?

    /// Before the layer is completed: that a masked path was renamed with a directory above it can't be seen any more afterwards.
    ///
    /// nil: nothing is to be collected.
    init?(_ preparation: RunPreparation, _ plan: Plan?, layer: Layer?, began: UInt64, denied: [PathPattern]) {
        policy = preparation.loaded.policy
        guard let plan, !policy.artifacts.collect.isEmpty else { return nil }
        let facts = preparation.facts
        let workspace = facts.workspace
        ground = ArtifactWalk.Ground(
            workspace: workspace.host, (workspace.device, workspace.inode), layer: layer,
            identity: facts.uid == 0 ? .owner(uid: workspace.uid, gid: workspace.gid) : .caller)
        ground.redactor = preparation.redactor
        if plan.copy != nil || plan.confined?.copy != nil { ground.copied = Int64(began) }
        let inside = plan.hidden.map(\.path).filter { $0 != workspace.path && Path.contains(workspace.path, $0) }
        ground.hidden = Set(inside.map { Bytes($0.dropFirst(workspace.path.count + 1)) })
        do {
            ground.denied = denied
            if let layer, !ground.hidden.isEmpty {
                for (place, from) in try Redirects.pairs(layer) {
                    for path in ground.hidden where Path.contains(from, path) {
                        ground.hidden.insert(place + path.dropFirst(from.count))
                    }
                }
            }
            failure = nil
        } catch {
            failure = "can't tell what is denied: \(error)"
        }
    }

    /// What an earlier run of the same sandbox made where it was denied, wherever it is by now.
    mutating func hide(_ list: ChangeList) {
        ground.hidden.formUnion(list.changes.filter { $0.flags.contains(.denied) }.map(\.path))
    }

    func collect(into place: Bytes, out: ArtifactOut?, run: RunID) -> ArtifactCollection {
        let bounds = ArtifactBounds(bytes: policy.artifacts.maxBytes)
        var found = ArtifactCollection(policy.artifacts.collect)
        if let failure {
            found.error = failure
        } else {
            found = ArtifactWalk.collect(policy.artifacts.collect, from: ground, into: place, bounds)
        }
        if let out, !found.artifacts.isEmpty {
            found.out = .init(path: out.path)
            do throws(SystemError) {
                let refused = try out.copy(found.artifacts, from: place, run: run)
                found.out?.error = RunArtifacts.words(refused)
            } catch {
                found.out?.error = error.description
            }
        }
        return found
    }

    /// nil: nothing was refused.
    private static func words(_ refused: [ArtifactOut.Refused]) -> String? {
        guard let first = refused.first else { return nil }
        let more = refused.count > 1 ? ", and \(refused.count - 1) more" : ""
        return
            "left out \(RecordText.clipped(first.path.shown))\(more): it would lie in \(first.what), where only `aegix apply` and you write"
    }
}
