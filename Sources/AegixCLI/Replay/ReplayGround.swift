// Side effects: looks at a workspace, or lays one out from what was kept of it.

import AegixAudit
import AegixSystem
import AegixWorkspace
import Glibc

/// Where a replay finds the workspace: laid out again from the recorded inputs, or, of a run of this machine that kept none, the
/// workspace as it is by now.
final class ReplayGround {
    /// Its path inside.
    let path: Bytes
    /// Where it lies on the host, if elsewhere.
    let source: Bytes?
    /// What it can't have alike.
    let differences: [Difference]
    private let scratch: Scratch?

    /// - whose: uid and gid that it shall belong to, where root calls.
    init(_ run: RecordedRun, isStranger: Bool, in state: StateDirectory) throws(Failure) {
        let record = run.record
        guard let path = record["workspace"]?["path"]?.bytesValue, ReplayGround.isPlace(path) else {
            throw Failure("replay.impossible", "run \(run.id) had no workspace that could be had again")
        }
        self.path = path
        var differences: [Difference] = []
        if let sandbox = record["workspace"]?["sandbox"]?.string {
            differences.append(
                Difference(
                    .inputs, Bytes("sandbox \(sandbox)"), before: Bytes("what earlier runs in it had changed"),
                    note: "a replay begins without it"))
        }
        if isStranger {
            scratch = try state.makeScratch()
            source = scratch.map { Path.join($0.path, Bytes("workspace")) }
            self.differences = differences
            return
        }
        scratch = nil
        source = nil
        self.differences = try differences + ReplayGround.suspects(record, path)
    }

    func remove() throws(Failure) { try scratch?.remove() }

    /// A path that a mount can have: absolute, without a name that means another place, and not where the root is assembled.
    private static func isPlace(_ path: Bytes) -> Bool {
        Path.isAbsolute(path) && Path.normalized(path) == path && !path.contains(0) && path.count < Int(PATH_MAX)
            && !Path.contains(Bytes("/.old"), path)
    }

    /// What changed in the workspace since the run began, whoever changed it.
    private static func suspects(_ record: JSON, _ path: Bytes) throws(Failure) -> [Difference] {
        guard let began = record["started_at"]?.string.flatMap({ Timestamp.parse($0) }) else { return [] }
        do throws(SystemError) {
            let changed = try ChangedSince(Int64(began), in: try Tree(at: path))
            var found = changed.paths.map { path in
                Difference(.inputs, path, note: "changed since the run; its content then wasn't kept")
            }
            if changed.isCut {
                found.append(
                    Difference(.inputs, Bytes("the workspace"), note: "is too large to be looked through whole"))
            }
            return found
        } catch {
            throw Failure(
                "workspace.missing", "can't look at the workspace \(path.shown), which the run had no copy kept of",
                error)
        }
    }
}
