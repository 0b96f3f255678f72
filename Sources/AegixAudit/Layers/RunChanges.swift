// Side effects: reads a run's directory. What a finished run changed, and where its layer lies.

import AegixSystem
import AegixWorkspace

/// What review, apply, discard and reset begin with.
public struct RunChanges: Sendable {
    public let run: RunID
    /// Absolute, as the run had it.
    public let workspace: Bytes
    /// `layer`, `apply`, `direct`, `read-only`.
    public let mode: String
    /// nil: nothing was kept.
    public let layer: Layer?
    /// The named sandbox whose layer it is still; nil: the layer is the run's own.
    public let sandbox: String?
    public let list: ChangeList
    /// The whole of it.
    public let record: JSON

    /// Nothing of what was there before is kept.
    public var isInPlace: Bool { mode == "direct" }
}

extension StateDirectory {
    /// Stages: the record; where it says that something changed, the list, which has to be the one that the manifest covers.
    public func changes(of id: RunID) throws(Failure) -> RunChanges {
        let record = try parse(try self.record(of: id), "audit.json", of: id)
        guard let workspace = record["workspace"]?["path"]?.bytesValue, let mode = record["workspace"]?["mode"]?.string
        else { throw Failure("run.unreadable", "run \(id) had no workspace: it never began") }
        let (layer, sandbox) = try layer(of: id, record)
        guard let changes = record["changes"]?.array else {
            throw Failure(
                "run.unlisted", "what run \(id) changed isn't known: \(RunChanges.reason(record["outcome"]))")
        }
        let list = changes.isEmpty ? ChangeList() : try readList(id)
        return RunChanges(
            run: id, workspace: workspace, mode: mode, layer: layer, sandbox: sandbox, list: list,
            record: record)
    }

    /// Where the layer lies by now, and the named sandbox that has it still.
    func layer(of id: RunID, _ record: JSON) throws(Failure) -> (layer: Layer?, sandbox: String?) {
        var layer: Layer?
        if let found = record["layer"], found != .null {
            guard let path = found["path"]?.bytesValue, let style = found["style"]?.string.flatMap(Layer.Style.init)
            else { throw Failure("run.unreadable", "the record of run \(id) doesn't say where its layer lies") }
            layer = Layer(upper: path, style: style)
        }
        let sandbox = try sandbox(of: id, record)
        // Handed over when it was applied or dropped.
        if sandbox == nil, record["workspace"]?["sandbox"]?.string != nil {
            layer?.upper = runPath(id) + Bytes("/layer/upper")
        }
        return (layer, sandbox)
    }

    /// The named sandbox that has the run's layer still; nil: the run has it itself.
    func sandbox(of id: RunID) throws(Failure) -> String? {
        try sandbox(of: id, try parse(try record(of: id), "audit.json", of: id))
    }

    private func sandbox(of id: RunID, _ record: JSON) throws(Failure) -> String? {
        guard let name = record["workspace"]?["sandbox"]?.string else { return nil }
        return try hasLayer(id) ? nil : name
    }

    private func hasLayer(_ id: RunID) throws(Failure) -> Bool {
        do throws(SystemError) {
            let run = try openRun(id)
            if try StateFile.facts(of: "layer", in: run) != nil { return true }
            return try StateFile.facts(of: StateDirectory.discardedName, in: run) != nil
        } catch {
            throw failure(error)
        }
    }

    private func readList(_ id: RunID) throws(Failure) -> ChangeList {
        let name = RunDirectory.changesName
        let (bytes, manifest): (Bytes, Bytes)
        do throws(SystemError) {
            let directory = try openRun(id)
            bytes = try StateFile.read(name, in: directory, limit: 512 << 20)
            manifest = try StateFile.read(Manifest.name, in: directory, limit: Manifest.longest)
        } catch {
            throw Failure("run.unreadable", "can't read what run \(id) changed", error)
        }
        let covered = try parse(manifest, Manifest.name, of: id)["files"]?[name]?["sha256"]?.string
        guard covered == SHA256.hex(bytes) else {
            throw Failure("run.damaged", "\(name) of run \(id) isn't what its manifest says: somebody changed it")
        }
        guard let list = ChangeList.decode(bytes) else {
            throw Failure("run.unreadable", "can't make sense of \(name) of run \(id)")
        }
        return list
    }

    private func parse(_ bytes: Bytes, _ name: String, of id: RunID) throws(Failure) -> JSON {
        do throws(JSONError) {
            return try JSON.parse(bytes)
        } catch {
            throw Failure("run.unreadable", "can't make sense of \(name) of run \(id)")
        }
    }
}

extension RunChanges {
    fileprivate static func reason(_ outcome: JSON?) -> String {
        if outcome?["status"]?.string == "interrupted" { return outcome?["message"]?.string ?? "it was interrupted" }
        return "the layer couldn't be looked at when it ended"
    }
}
