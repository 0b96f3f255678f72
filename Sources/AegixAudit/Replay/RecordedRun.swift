// Side effects: reads a run's directory, or what a bundle was unpacked to. What a replay and a comparison take from it.

import AegixSystem
import AegixWorkspace
import Glibc

/// A finished run, by the files that it left. Who made them may be a stranger: everything is checked where it is used.
public final class RecordedRun {
    public let id: RunID
    public let record: JSON
    private let tree: Tree

    private static let longestRecord = 64 << 20
    private static let longestLog = 64 << 20
    private static let longestList = 512 << 20
    private static let longestPolicy = 4 << 20
    private static let longestScript = 16 << 20

    public init(in tree: Tree) throws(Failure) {
        self.tree = tree
        let bytes = try RecordedRun.read("audit.json", RecordedRun.longestRecord, in: tree)
        guard case .success(let record) = Result(catching: { () throws(JSONError) in try JSON.parse(bytes) }),
            record["schema"]?.string == AuditRecord.schema,
            let id = record["run_id"]?.string.flatMap({ RunID($0) })
        else { throw Failure("run.unreadable", "audit.json isn't a record of aegix") }
        self.id = id
        self.record = record
    }

    /// The policy in force, which has to be the one that the record names.
    public func policy() throws(Failure) -> Bytes {
        let text = try RecordedRun.read("policy.toml", RecordedRun.longestPolicy, in: tree)
        guard record["policy"]?["digest"]?.string == SHA256.hex(text) else {
            throw Failure("run.damaged", "policy.toml isn't the one that the record of run \(id) names")
        }
        return text
    }

    /// The script that was handed in by its bytes: its path and these; nil: there was none.
    public func script() throws(Failure) -> (path: Bytes, content: Bytes)? {
        guard let told = record["command"]?["script"], told != .null else { return nil }
        guard told["kept"]?.bool == true, let path = told["path"]?.bytesValue, Path.isAbsolute(path), !path.contains(0)
        else {
            throw Failure("replay.impossible", "the script of run \(id) held a secret, and wasn't kept")
        }
        let content = try RecordedRun.read(RunDirectory.scriptName, RecordedRun.longestScript, in: tree)
        guard told["sha256"]?.string == SHA256.hex(content) else {
            throw Failure("run.damaged", "the script isn't the one that the record of run \(id) names")
        }
        return (path, content)
    }

    /// All changes; nil: not known.
    public func changes() throws(Failure) -> ChangeList? {
        guard let told = record["changes"]?.array else { return nil }
        if told.isEmpty { return ChangeList() }
        let bytes = try RecordedRun.read(RunDirectory.changesName, RecordedRun.longestList, in: tree)
        guard let list = ChangeList.decode(bytes) else {
            throw Failure("run.unreadable", "can't make sense of \(RunDirectory.changesName) of run \(id)")
        }
        return list
    }

    /// What was kept of the workspace; nil: nothing was.
    public func inputs() throws(Failure) -> InputList? {
        do throws(SystemError) {
            if try tree.facts(name: Bytes(InputList.name)) == nil { return nil }
        } catch {
            throw Failure("run.unreadable", "can't look at the inputs of run \(id)", error)
        }
        return try InputList.read(in: tree.descriptor)
    }

    /// A stream as it was captured; nil: it wasn't, or is too long to be looked into.
    func log(_ stream: String) -> Bytes? {
        guard record["streams"]?[stream]?.object != nil else { return nil }
        do throws(Failure) {
            return try RecordedRun.read("\(stream).log", RecordedRun.longestLog, in: tree)
        } catch {
            return nil
        }
    }

    /// What the command read from its stdin, where that was recorded.
    public func stdin() throws(Failure) -> Descriptor? {
        do throws(SystemError) {
            if try tree.facts(name: Bytes("stdin.log")) == nil { return nil }
            return try tree.file(Bytes("stdin.log"))
        } catch {
            throw Failure("run.unreadable", "can't open stdin.log of run \(id)", error)
        }
    }

    /// The directory with all of it.
    public var directory: Tree { tree }

    private static func read(_ name: String, _ limit: Int, in tree: Tree) throws(Failure) -> Bytes {
        do throws(SystemError) {
            return try tree.file(Bytes(name)).readAll(limit: limit)
        } catch {
            throw Failure("run.unreadable", "can't read \(name)", error)
        }
    }
}

extension StateDirectory {
    /// A run whose files are those that were written at its end.
    public func recorded(_ id: RunID) throws(Failure) -> RecordedRun {
        _ = try record(of: id)
        let verdict = try verify(id, keys: try publicKeys())
        if let fault = verdict.faults.first {
            throw Failure("run.damaged", "run \(id) isn't what was written at its end: \(fault)")
        }
        let tree: Tree
        do throws(SystemError) { tree = Tree(owning: try openRun(id)) } catch { throw failure(error) }
        return try RecordedRun(in: tree)
    }
}
