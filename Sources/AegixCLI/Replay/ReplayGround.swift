// Side effects: looks at a workspace, or lays one out from what was kept of it.

import AegixAudit
import AegixSystem
import AegixWorkspace
import Glibc

/// Where a replay finds the workspace: laid out again from the recorded inputs, or, of a run of this machine that kept none, the
/// workspace as it is by now.
final class ReplayGround {
    let run: RecordedRun
    /// Its path inside.
    let path: Bytes
    /// Where it lies on the host, if elsewhere.
    private(set) var source: Bytes?
    /// What it can't have alike.
    private(set) var differences: [Difference] = []
    /// Files of the laid out workspace whose content wasn't kept.
    private(set) var hollow: Set<Bytes> = []

    /// - scratch: where a workspace is laid out; nil: nothing is kept of one, and the workspace itself is taken.
    init(_ run: RecordedRun, in scratch: Scratch?) throws(Failure) {
        self.run = run
        let record = run.record
        guard let path = record["workspace"]?["path"]?.bytesValue, ReplayGround.isPlace(path) else {
            throw Failure("replay.impossible", "run \(run.id) had no workspace that could be had again")
        }
        self.path = path
        if let sandbox = record["workspace"]?["sandbox"]?.string {
            differences.append(
                Difference(
                    .inputs, Bytes("sandbox \(sandbox)"), before: Bytes("what earlier runs in it had changed"),
                    note: "a replay begins without it"))
        }
        guard let scratch else {
            differences += try ReplayGround.suspects(record, path)
            return
        }
        let place = try ReplayGround.makeWorkspace(in: scratch)
        source = Path.join(scratch.path, ReplayGround.name)
        guard let list = try run.inputs() else {
            differences.append(
                Difference(
                    .inputs, path, before: Bytes("the workspace"), after: Bytes("an empty directory"),
                    note: "nothing of it was kept ([audit] inputs)"))
            return
        }
        try lay(list, in: place)
    }

    /// A replay that read what wasn't kept read something else.
    func misread(_ replay: JSON) -> [Difference] {
        (replay["inputs"]?.array ?? []).compactMap { input in
            guard let path = input["path"]?.bytesValue, hollow.contains(path),
                input["use"]?.array?.contains("read") == true
            else { return nil }
            return Difference(
                .inputs, path, before: Bytes("not read"), after: Bytes("read"), note: "its content wasn't kept")
        }
    }

    private static let name = Bytes("workspace")

    private static func makeWorkspace(in scratch: Scratch) throws(Failure) -> Tree {
        do throws(SystemError) {
            return try scratch.makeDirectory(name)
        } catch {
            throw Failure("replay.workspace", "can't make a place for the workspace in \(scratch.path.shown)", error)
        }
    }

    private func lay(_ list: InputList, in place: Tree) throws(Failure) {
        let layout = InputLayout(list, owner: ReplayGround.owner(run.record))
        do throws(InputLayout.Fault) {
            try layout.make(in: place, from: run.directory.descriptor)
        } catch {
            throw Failure(
                "replay.workspace", "can't lay out \(error.path.shown) of the recorded workspace", error.error)
        }
        hollow = layout.hollow
        for input in list.inputs where hollow.contains(input.path) && input.uses.contains(.read) {
            differences.append(
                Difference(
                    .inputs, input.path, before: Bytes("read"), after: Bytes("without its content"),
                    note: "not kept: \(input.reason?.rawValue ?? "unknown")"))
        }
        if list.mode == .all {
            for input in list.inputs where hollow.contains(input.path) && !input.uses.contains(.read) {
                let reason = input.reason?.rawValue ?? "unknown"
                differences.append(Difference(.inputs, input.path, note: "its content wasn't kept: \(reason)"))
            }
        }
        for input in layout.missing {
            let isLink = input.kind == .symlink
            differences.append(
                Difference(
                    .inputs, input.path, before: Bytes(isLink ? "a symlink" : "a FIFO, socket or device"),
                    note: isLink
                        ? "where it points wasn't kept: \(input.reason?.rawValue ?? "unknown")"
                        : "none is made again"))
        }
        if !list.cut.isEmpty {
            let bounds = list.cut.map(\.rawValue).sorted().joined(separator: ", ")
            differences.append(
                Difference(.inputs, Bytes("the workspace"), note: "was too large to be kept whole (\(bounds))"))
        }
    }

    /// Whom the workspace belonged to, which only root can make true.
    private static func owner(_ record: JSON) -> (uid: uid_t, gid: gid_t)? {
        guard geteuid() == 0, let inside = record["identity"]?["inside"],
            let uid = inside["uid"]?.int.flatMap({ uid_t(exactly: $0) }),
            let gid = inside["gid"]?.int.flatMap({ gid_t(exactly: $0) })
        else { return nil }
        // Who is nobody inside is the workspace's owner outside, whoever that was.
        if record["policy"]?["effective"]?["identity"]?["user"]?.string == "nobody" { return nil }
        return (uid, gid)
    }

    /// A path that a mount can have: absolute, without a name that means another place, and not where the root is assembled.
    static func isPlace(_ path: Bytes) -> Bool {
        Path.isAbsolute(path) && Path.normalized(path) == path && !path.contains(0) && path.count < Int(PATH_MAX)
            && !Path.contains(Bytes("/.old"), path)
    }

    /// What changed in the workspace since the run began, whoever changed it.
    private static func suspects(_ record: JSON, _ path: Bytes) throws(Failure) -> [Difference] {
        guard let began = record["started_at"]?.string.flatMap({ Timestamp.parse($0) }) else { return [] }
        do throws(SystemError) {
            let changed = try ChangedSince(Int64(clamping: began), in: try Tree(at: path))
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
