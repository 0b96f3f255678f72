// Side effects: makes `<state>/runs/<id>/`, and closes it.

import AegixSandbox
import AegixSystem
import AegixWorkspace
import CAegix
import Glibc

/// A run on disk while it is alive. One that is dropped without `finish`, as by SIGKILL, stays in `live/` without a
/// lock, and the next command closes its record as interrupted.
public struct RunDirectory: ~Copyable {
    public let id: RunID
    public let path: Bytes
    public let events: EventLog
    private let state: StateDirectory
    private let start: RunStart
    private let parts: StartParts
    private let directory: Descriptor
    private var ledger: Ledger
    private let layerMode: mode_t?
    private var layer = RunLayer.State.none
    private var logs: Set<Log> = []
    /// Made beforehand under another name.
    private var recordFile = Descriptor.none
    private var manifestFile = Descriptor.none

    public enum Log: String, Sendable {
        case stdout = "stdout.log"
        case stderr = "stderr.log"
        case stdin = "stdin.log"
    }

    /// Stages: the start event, from which an interrupted record is made; the policy; last the ledger's start entry,
    /// without which nothing may run. What isn't done: the logs, which are opened by the name.
    public static func begin(
        _ start: RunStart, in state: StateDirectory, reserved: consuming ReservedRun
    ) throws(Failure) -> RunDirectory {
        // The first thing: nothing else that is written down sees the secrets.
        let start = start.redacted()
        let parts = StartParts(start)
        let id = start.id
        let (layerMode, directory, alive) = reserved.open()
        do {
            let events = EventLog(file: Descriptor(owning: alive), redactor: start.redactor)
            let opened = Descriptor(owning: directory)
            events.start(start, parts)
            if let failure = events.failure { throw failure }
            if let policy = start.policy { try StateFile.write(policy.toml, to: "policy.toml", in: opened) }
            if let script = start.command.script?.content {
                try StateFile.write(script, to: RunDirectory.scriptName, in: opened)
            }
            var ledger = try Ledger.open(in: state)
            if let signer = start.signer { try state.know(signer.key) }
            if start.durable { try sync(opened, events, state) }
            try ledger.append(entry(.start, start, time: start.startedAt), durable: start.durable)
            return RunDirectory(
                state: state, start: start, parts: parts, directory: opened, events: events, ledger: ledger,
                layerMode: layerMode)
        } catch let error as SystemError {
            ReservedRun.abandon(id, in: state)
            throw state.failure(error)
        } catch {
            throw Failure("state.unwritable", "can't begin the record in \(state.path.shown)")
        }
    }

    /// Reserves and begins at once: a run that will not start.
    public static func begin(_ start: RunStart, in state: StateDirectory) throws(Failure) -> RunDirectory {
        try begin(start, in: state, reserved: try ReservedRun(start.id, in: state))
    }

    private init(
        state: StateDirectory, start: RunStart, parts: StartParts, directory: consuming Descriptor,
        events: EventLog, ledger: consuming Ledger, layerMode: mode_t?
    ) {
        id = start.id
        path = state.runPath(start.id)
        self.events = events
        self.state = state
        self.start = start
        self.parts = parts
        self.directory = directory
        self.ledger = ledger
        self.layerMode = layerMode
    }

    /// The file that a stream is captured to, new and empty.
    public mutating func openLog(_ log: Log) throws(Failure) -> Descriptor {
        do {
            logs.insert(log)
            return try StateFile.create(log.rawValue, in: directory)
        } catch {
            throw state.failure(error)
        }
    }

    /// While there is nothing else to do: makes the files that the end writes, which is what costs most of it, and writes a
    /// record that nobody gets, so that the end finds its own code in memory. What fails here fails there, and is told then.
    public mutating func prepare(for end: RunEnd) {
        do throws(SystemError) {
            recordFile = try StateFile.create("audit.json" + RunDirectory.coming, in: directory)
            manifestFile = try StateFile.create(Manifest.name + RunDirectory.coming, in: directory)
            let end = end.redacted(by: start.redactor)
            let record = AuditRecord.encode(start, parts, end, directory: path, layer: layer)
            _ = try manifest(end, recordBytes: record.count, recordDigest: SHA256.hex(record)).encode(id)
        } catch {}
    }

    /// What StateFile.replace, by which a killed run's record is closed, uses as well.
    private static let coming = ".new"

    private func put(_ bytes: Bytes, _ file: borrowing Descriptor, as name: String) throws(SystemError) {
        if file.raw < 0 { return try StateFile.write(bytes, to: name, in: directory) }
        try file.writeAll(bytes)
        if aegix_renameat(directory.raw, name + RunDirectory.coming, name) < 0 {
            throw SystemError.last("rename", Bytes(name))
        }
    }

    /// After the sandbox is gone. `kept` means that the layer holds changes.
    public mutating func finishLayer() throws(Failure) -> RunLayer.State {
        guard let mode = layerMode else { return .none }
        do {
            layer = try RunLayer.finish(in: directory, mode: mode)
            return layer
        } catch {
            throw Failure("layer.unclean", "can't clear the layer of run \(id)", error, exitCode: 123)
        }
    }

    /// When the changes are listed, overlay's own directory is needed no more.
    public func dropWork() throws(Failure) {
        do throws(SystemError) {
            try RunLayer.dropWork(in: directory)
        } catch {
            throw Failure("layer.unclean", "can't clear the layer of run \(id)", error, exitCode: 123)
        }
    }

    /// The layer isn't in this directory: the run took place in a named sandbox.
    public mutating func take(layer state: RunLayer.State) { layer = state }

    /// Stages: the outcome event; `audit.json`; the manifest, which covers it; the ledger's entry, which covers both; and
    /// only then the live file, so that a crash anywhere in between is closed by the next command. Returns the record.
    public consuming func finish(_ end: RunEnd) throws(Failure) -> Bytes {
        do {
            // What an apply goes by: paths as they are.
            let changes = try writeChanges(end)
            let inputs = end.inputs?.list?.encode()
            if let inputs { try StateFile.write(inputs, to: InputList.name, in: directory) }
            let end = end.redacted(by: start.redactor)
            events.outcome(end.outcome, time: end.finishedAt)
            if let failure = events.failure { throw failure }
            let record = AuditRecord.encode(start, parts, end, directory: path, layer: layer)
            try put(record, recordFile, as: "audit.json")
            let auditDigest = SHA256.hex(record)
            // One that was dropped leaves an empty file, which says nothing.
            if logs.contains(.stdin), end.stdin?.digest == nil {
                try StateFile.remove(Log.stdin.rawValue, in: directory)
            }
            var covered = try self.manifest(end, recordBytes: record.count, recordDigest: auditDigest)
            if let changes { covered.add(RunDirectory.changesName, changes) }
            if let inputs { covered.add(InputList.name, inputs) }
            covered.artifacts = (end.artifacts?.all ?? []).compactMap { artifact in
                artifact.digest.map { (artifact.path, artifact.size, $0) }
            }
            let manifest = covered.encode(id)
            try put(manifest, manifestFile, as: Manifest.name)
            if start.durable {
                try syncAll(
                    hasContents: !covered.artifacts.isEmpty || end.inputs?.contents ?? 0 > 0)
            }
            let signing = try sign(record, manifest)
            var entry = RunDirectory.entry(.finish, start, time: end.finishedAt)
            entry.closing = LedgerEntry.Closing(
                status: end.outcome.status.rawValue, exitCode: Int(end.outcome.exitCode),
                durationNanoseconds: end.durationNanoseconds, audit: auditDigest, manifest: SHA256.hex(manifest),
                signer: signing.key?.publicKey.id)
            try close(with: entry, signing.key, time: end.finishedAt)
            if let failure = signing.failure { throw failure }
            return record
        } catch let failure as Failure where failure.exitCode == RunSigner.exitCode {
            throw failure
        } catch let error as SystemError {
            throw Failure(
                "record.failed", "the command ran, but the record of run \(id) can't be written in \(path.shown)",
                error,
                exitCode: 123)
        } catch {
            throw Failure("record.failed", "the record of run \(id) can't be written", exitCode: 123)
        }
    }

    private mutating func close(with entry: LedgerEntry, _ key: SigningKey?, time: UInt64) throws(SystemError) {
        let state = state
        if let key {
            try ledger.append(entry, durable: start.durable) { head throws(SystemError) in
                try RunSigner.seal(head, time: time, with: key, in: state)
            }
        } else {
            try ledger.append(entry, durable: start.durable)
        }
        try StateFile.remove(id.description, in: state.live)
    }

    /// A key that can't be had any more, or isn't the one that the run began with, doesn't cost the record.
    private borrowing func sign(_ record: Bytes, _ manifest: Bytes) throws(SystemError) -> (
        key: SigningKey?, failure: Failure?
    ) {
        guard let signer = start.signer else { return (nil, nil) }
        do throws(Failure) {
            let key = try signer.open()
            let envelope = try RunSigner.envelope(record, manifest, start: ledger.head, with: key)
            do throws(SystemError) {
                try StateFile.write(envelope, to: RunSigner.name, in: directory)
                if start.durable { try StateFile.sync(try StateFile.openRegular(RunSigner.name, in: directory)) }
            } catch {
                throw RunSigner.failure(error.reason)
            }
            return (key, nil)
        } catch {
            try StateFile.remove(RunSigner.name, in: directory)
            return (nil, error)
        }
    }

    static let changesName = "changes.jsonl"
    static let scriptName = "script"
    static let artifactsName = "artifacts"

    /// Made for what is to be collected. Private, as all of it.
    public func makeArtifacts() throws(Failure) -> Bytes {
        do throws(SystemError) {
            try StateFile.makeDirectory(RunDirectory.artifactsName, in: directory)
        } catch {
            throw Failure("artifacts.failed", "can't keep artifacts of run \(id)", error, exitCode: 123)
        }
        return Path.join(path, Bytes(RunDirectory.artifactsName))
    }

    /// Made for the contents of inputs.
    public func makeInputs() throws(Failure) -> Bytes {
        do throws(SystemError) {
            try StateFile.makeDirectory(InputList.directoryName, in: directory)
        } catch {
            throw Failure("inputs.failed", "can't keep inputs of run \(id)", error, exitCode: 123)
        }
        return Path.join(path, Bytes(InputList.directoryName))
    }

    /// All of them, where the record itself holds no more than its bounds let it. nil: there are none.
    private borrowing func writeChanges(_ end: RunEnd) throws(SystemError) -> Bytes? {
        guard case .listed(let list) = end.changes, list != ChangeList() else { return nil }
        let lines = list.encode()
        try StateFile.write(lines, to: RunDirectory.changesName, in: directory)
        return lines
    }

    private borrowing func manifest(_ end: RunEnd, recordBytes: Int, recordDigest: String) throws(SystemError)
        -> Manifest
    {
        var manifest = Manifest()
        manifest.add("audit.json", bytes: UInt64(recordBytes), digest: recordDigest)
        manifest.add(EventLog.name, bytes: UInt64(events.bytes), digest: events.digest())
        if let policy = start.policy { manifest.add("policy.toml", policy.toml) }
        if let script = start.command.script?.content { manifest.add(RunDirectory.scriptName, script) }
        for (log, stream) in [(Log.stdout, end.stdout), (Log.stderr, end.stderr)] where logs.contains(log) {
            if let stream {
                manifest.add(log.rawValue, bytes: stream.captured, digest: stream.digest)
            } else {
                // The run failed before the capture began.
                let content = try StateFile.openRegular(log.rawValue, in: directory).digest()
                manifest.add(log.rawValue, bytes: content.bytes, digest: content.digest)
            }
        }
        if logs.contains(.stdin), let digest = end.stdin?.digest, let stdin = end.stdin {
            manifest.add(Log.stdin.rawValue, bytes: stdin.captured, digest: digest)
        }
        return manifest
    }

    static func entry(_ kind: LedgerEntry.Kind, _ start: RunStart, time: UInt64) -> LedgerEntry {
        var entry = LedgerEntry(
            kind, start.id, time: time, workspace: start.isReplay ? nil : start.workspace?.path,
            command: LedgerEntry.summary(start.command.argv))
        entry.labels = start.labels
        return entry
    }

    private static func sync(
        _ directory: borrowing Descriptor, _ events: EventLog, _ state: StateDirectory
    ) throws(SystemError) {
        try events.sync()
        try StateFile.sync(directory)
        try StateFile.sync(try StateFile.openDirectory("runs", in: state.root))
        try StateFile.sync(state.live)
        try StateFile.sync(state.root)
    }

    /// The logs have been written by the supervision and are opened once more: fsync is of the file, not of the opening.
    private borrowing func syncAll(hasContents: Bool) throws(SystemError) {
        if hasContents, aegix_sync_file_system(directory.raw) < 0 { throw SystemError.last("syncfs") }
        for name in Manifest.files + [Manifest.name] where try StateFile.facts(of: name, in: directory) != nil {
            try StateFile.sync(try StateFile.openRegular(name, in: directory))
        }
        try StateFile.sync(directory)
    }
}
