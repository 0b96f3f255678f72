// Side effects: reads the state directory. Whether anybody still needs a run.

import AegixSystem
import AegixWorkspace
import Glibc

/// What would be lost with a run. The one place that decides it.
public enum RunStanding: String, Sendable {
    /// It goes on, or its changes are being applied, undone or dropped, or were when aegix was killed.
    case busy
    /// The newest of a named sandbox: by it the sandbox's changes are reviewed and applied.
    case sandbox
    /// Its layer holds changes that were neither applied nor dropped: all of them, or some.
    case waiting
    /// Its record can't be read, so that nobody knows what is in it.
    case damaged
    /// Its changes are in the workspace, and can be undone.
    case applied
    /// Nothing but the record and the output.
    case done

    /// Never removed, whatever is asked.
    public var isHeld: Bool { self == .busy || self == .sandbox }
    /// Removed only where that is asked for.
    public var isUnreviewed: Bool { self == .waiting || self == .damaged }
}

extension StateDirectory {
    func standing(of id: RunID) throws(SystemError) -> RunStanding {
        for name in [id.description, LiveMark(id, .journal).name, LiveMark(id, .discard).name]
        where try StateFile.facts(of: name, in: live) != nil { return .busy }
        let directory = try openRun(id)
        guard let record = try parsedRecord(directory), record["run_id"]?.string == id.description else {
            for one in try sandboxNames() where try isNewest(id, in: one) { return .sandbox }
            return .damaged
        }
        if let name = record["workspace"]?["sandbox"]?.string, try isNewest(id, in: name) { return .sandbox }
        if record["invocation"]?["how"]?.string == RunStart.Invocation.replay { return .done }
        let applied = try appliedJournal(directory).flatMap { $0.isReset ? nil : $0 }
        guard try hasChanges(directory, record) else { return applied == nil ? .done : .applied }
        guard let applied, let all = RunStanding.count(record), applied.changes >= all else { return .waiting }
        return .applied
    }

    private func parsedRecord(_ directory: borrowing Descriptor) throws(SystemError) -> JSON? {
        guard try StateFile.facts(of: "audit.json", in: directory) != nil else { return nil }
        let bytes = try StateFile.read("audit.json", in: directory, limit: 64 << 20)
        do throws(JSONError) { return try JSON.parse(bytes) } catch { return nil }
    }

    private func appliedJournal(_ directory: borrowing Descriptor) throws(SystemError) -> Applied? {
        let name = StateDirectory.appliedName
        guard try StateFile.facts(of: name, in: directory) != nil else { return nil }
        return Applied(try StateFile.read(name, in: directory, limit: 1 << 30))
    }

    /// In a layer of its own. An empty one is left by each run that changed nothing.
    private func hasChanges(_ directory: borrowing Descriptor, _ record: JSON) throws(SystemError) -> Bool {
        guard try StateFile.facts(of: "layer/upper", in: directory) != nil else { return false }
        if let layer = record["layer"], layer != .null {
            let isListed = try StateFile.facts(of: RunDirectory.changesName, in: directory) != nil
            return isListed || record["changes"]?.array?.isEmpty != true
        }
        let upper = try Descriptor.openBeneath(directory.raw, Bytes("layer/upper"), O_RDONLY | O_DIRECTORY)
        return try !StateFile.names(in: upper).isEmpty
    }

    private func isNewest(_ id: RunID, in sandbox: String) throws(SystemError) -> Bool {
        guard NamedSandbox.isName(sandbox) else { return false }
        do throws(SystemError) {
            let directory = try StateFile.openDirectory("\(NamedSandbox.parent)/\(sandbox)", in: root)
            return try NamedSandbox.read(directory)?.lastRun == id
        } catch {
            if error.errno == ENOENT || error.isNoDirectory { return false }
            throw error
        }
    }

    private func sandboxNames() throws(SystemError) -> [String] {
        guard try StateFile.facts(of: NamedSandbox.parent, in: root) != nil else { return [] }
        let parent = try StateFile.openDirectory(NamedSandbox.parent, in: root)
        return try StateFile.names(in: parent, room: 4 << 20).compactMap(\.text)
    }
}

extension RunStanding {
    /// How many changes the run made; nil where that isn't known.
    fileprivate static func count(_ record: JSON) -> Int? {
        if let cut = record["cut"]?["changes"] { return cut["of"]?.int }
        return record["changes"]?.array?.count
    }
}
