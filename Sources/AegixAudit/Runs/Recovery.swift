// Side effects: closes the records of runs whose aegix is dead, and removes their cgroups.

import AegixPlan
import AegixSandbox
import AegixSystem
import AegixWorkspace
import CAegix
import Glibc

/// What `closeInterrupted` did.
public struct Recovery: Sendable {
    public var closed: [RunID] = []
    /// Left for the next command: the disk is full, or a file is damaged.
    public var failed: [(run: RunID, error: SystemError)] = []
    /// Cgroups that killed runs had left.
    public var cgroups = CgroupSweep()
    /// Applies and resets that were cut off.
    public var transactions: [(run: RunID, remainder: Undertaking.Remainder)] = []
}

extension StateDirectory {
    /// A run is alive while its file in `live/` is locked, and the kernel lets go of the lock however a process ends. With
    /// no run alive this is one read of an empty directory.
    ///
    /// - sweep: what was cleared of cgroups, by a caller that has looked for their place already.
    public func closeInterrupted(sweep: CgroupSweep = .clear()) throws(Failure) -> Recovery {
        var recovery = Recovery()
        recovery.cgroups = sweep
        do {
            for name in try StateFile.names(in: live) {
                if let mark = LiveMark(name) {
                    do {
                        if let remainder = try recover(mark) { recovery.transactions.append((mark.run, remainder)) }
                    } catch {
                        recovery.failed.append((mark.run, error))
                    }
                    continue
                }
                guard let id = name.text.flatMap({ RunID($0) }) else { continue }
                do {
                    if try close(id) { recovery.closed.append(id) }
                } catch {
                    recovery.failed.append((id, error))
                }
            }
            try tellPruned()
        } catch {
            throw failure(error)
        }
        return recovery
    }

    /// Whether the run was dead and is closed now. Every step can be killed and done again.
    private func close(_ id: RunID) throws(SystemError) -> Bool {
        guard let file = try claim(id) else { return false }
        do {
            let directory = try openRun(id)
            let closing = try Recovery.complete(id, directory, path: runPath(id))
            if try !isClosed(id) {
                var ledger = try Ledger.open(in: self)
                try ledger.append(closing)
            }
        } catch {
            // Killed before it made its directory: nothing ran and nothing is to be told.
            if error.errno != ENOENT { throw error }
        }
        try StateFile.remove(id.description, in: live)
        // Held until here, so that no other command does the same.
        _ = consume file
        return true
    }

    /// The lock of a dead run's file, ours from now on; nil if it is alive, or in another's hands, or gone.
    private func claim(_ id: RunID) throws(SystemError) -> Descriptor? {
        let file: Descriptor
        do {
            file = try StateFile.open(id.description, in: live, O_RDWR)
        } catch {
            if error.errno == ENOENT { return nil }
            throw error
        }
        guard try FileLock.attempt(file) else { return nil }
        // A run that is just beginning has made the file and not locked it yet. It holds the directory's shared lock
        // meanwhile, so: let go, wait for the directory, ask again.
        FileLock.release(file)
        try FileLock.exclusive(live)
        defer { FileLock.release(live) }
        guard try FileLock.attempt(file) else { return nil }
        // It may have ended, or been closed, since we opened it: then the name is gone.
        guard let named = try StateFile.facts(of: id.description, in: live) else { return nil }
        let facts = try StateFile.facts(file)
        guard named.inode == facts.inode, named.device == facts.device else { return nil }
        return file
    }

    /// Whether the ledger has its end already. Entries of a run lie close to the ledger's end when this is asked.
    private func isClosed(_ id: RunID) throws(SystemError) -> Bool {
        guard let ledger = try LedgerReader.open(in: self) else { return false }
        var found = false
        _ = try ledger.newestFirst(mentioning: Bytes(id.description)) { entry in
            if entry.run != id || entry.kind != .start && !entry.kind.isEnd { return true }
            found = entry.kind.isEnd
            return false
        }
        return found
    }
}

extension Recovery {
    /// Makes `audit.json` and the manifest where they are missing or halves, and returns what the ledger is to say.
    static func complete(_ id: RunID, _ directory: borrowing Descriptor, path: Bytes) throws(SystemError) -> LedgerEntry
    {
        var kind = LedgerEntry.Kind.finish
        var bytes =
            try StateFile.facts(of: "audit.json", in: directory) == nil
            ? [] : try StateFile.read("audit.json", in: directory, limit: 64 << 20)
        var record = parsed(bytes)
        if record?["run_id"]?.string != id.description {
            kind = .interrupted
            let remains = try remains(id, directory, path: path)
            let made = InterruptedRecord.make(remains) { layer, record in
                InterruptedLayer.list(id, layer, record, hadCopy: remains.hadCopy)
            }
            if let changes = made.changes, changes != ChangeList() {
                try StateFile.replace(changes.encode(), at: RunDirectory.changesName, in: directory)
            }
            if remains.layer == .kept { try RunLayer.dropWork(in: directory) }
            bytes = made.record.canonical
            try StateFile.replace(bytes, at: "audit.json", in: directory)
            record = made.record
        }
        // Whoever closes the record of a killed run has no key.
        try StateFile.remove(RunSigner.name, in: directory)
        let manifest = try self.manifest(directory, record ?? .null).encode(id)
        try StateFile.replace(manifest, at: Manifest.name, in: directory)
        return entry(kind, id, record ?? .null, audit: SHA256.hex(bytes), manifest: SHA256.hex(manifest))
    }

    private static func parsed(_ bytes: Bytes) -> JSON? {
        guard case .success(let json) = Result(catching: { () throws(JSONError) in try JSON.parse(bytes) }) else {
            return nil
        }
        return json
    }

    private static func remains(
        _ id: RunID, _ directory: borrowing Descriptor, path: Bytes
    ) throws(SystemError) -> InterruptedRecord.Remains {
        var remains = InterruptedRecord.Remains(id: id, events: [], directory: path)
        if try StateFile.facts(of: EventLog.name, in: directory) != nil {
            remains.events = try StateFile.read(EventLog.name, in: directory, limit: 64 << 20)
        }
        for name in ["stdout.log", "stderr.log"] where try StateFile.facts(of: name, in: directory) != nil {
            let content = try StateFile.openRegular(name, in: directory).digest()
            remains.logs.append(.init(name: name, bytes: content.bytes, digest: content.digest))
        }
        remains.hadCopy = try StateFile.facts(of: String(decoding: Plan.copyName, as: UTF8.self), in: directory) != nil
        try ConfinedGround.clear(run: path, uid: geteuid())
        try TreeRemoval.remove(Path.join(path, Plan.copyName))
        // Nothing says whether those that are there are whole.
        try TreeRemoval.remove(Path.join(path, Bytes(RunDirectory.artifactsName)))
        try TreeRemoval.remove(Path.join(path, Bytes(InputList.directoryName)))
        // Of stdin nobody knows by now whether a secret is in it.
        for name in [InputList.name, RunDirectory.Log.stdin.rawValue] { try StateFile.remove(name, in: directory) }
        if InterruptedRecord.isReplay(remains.events) {
            // Dropped at its end, too. Its workspace isn't the one at that path: a stranger's bundle may name any.
            try TreeRemoval.remove(Path.join(path, Bytes(RunLayer.name)))
            remains.hadCopy = false
        }
        remains.layer = try RunLayer.finish(in: directory, mode: nil)
        return remains
    }

    private static func manifest(_ directory: borrowing Descriptor, _ record: JSON) throws(SystemError) -> Manifest {
        var manifest = Manifest()
        // The record was written after them, and says what they are.
        for artifact in record["artifacts"]?.array ?? [] {
            guard let path = artifact["path"]?.bytesValue, let digest = artifact["sha256"]?.string,
                let size = artifact["size"]?.int, size >= 0
            else { continue }
            manifest.artifacts.append((path, UInt64(size), digest))
        }
        for name in Manifest.files where try StateFile.facts(of: name, in: directory) != nil {
            let content = try StateFile.openRegular(name, in: directory).digest()
            manifest.add(name, bytes: content.bytes, digest: content.digest)
        }
        return manifest
    }

    private static func entry(
        _ kind: LedgerEntry.Kind, _ id: RunID, _ record: JSON, audit: String, manifest: String
    ) -> LedgerEntry {
        let argv = (record["command"]?["argv"]?.array ?? []).compactMap(\.bytesValue)
        let isReplay = record["invocation"]?["how"]?.string == RunStart.Invocation.replay
        // As at its end: it is nobody's `last`.
        var entry = LedgerEntry(
            kind, id, time: Clock.realtime(), workspace: isReplay ? nil : record["workspace"]?["path"]?.bytesValue,
            command: LedgerEntry.summary(argv))
        entry.labels = (record["labels"]?.object ?? [:]).compactMapValues(\.string)
        entry.closing = LedgerEntry.Closing(
            status: record["outcome"]?["status"]?.string ?? "interrupted",
            exitCode: record["outcome"]?["exit_code"]?.int,
            durationNanoseconds: record["duration_ns"]?.string.flatMap { UInt64($0) }, audit: audit, manifest: manifest)
        return entry
    }
}
