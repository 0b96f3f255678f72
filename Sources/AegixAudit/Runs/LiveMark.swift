// Side effects: files of `<state>/live/` that stand for work on a workspace, and their locks.

import AegixSystem
import AegixWorkspace
import CAegix
import Glibc

/// The name in `live/` of something that is being done with a run's changes: `<run>.journal` while a workspace is changed,
/// `<run>.discard` while a layer is removed.
struct LiveMark: Equatable, Sendable {
    var run: RunID
    var kind: Kind

    enum Kind: String, Sendable {
        case journal, discard
    }

    init(_ run: RunID, _ kind: Kind) { (self.run, self.kind) = (run, kind) }

    init?(_ name: Bytes) {
        let parts = name.split(separator: UInt8(ascii: "."))
        guard parts.count == 2, let run = Bytes(parts[0]).text.flatMap({ RunID($0) }),
            let kind = Bytes(parts[1]).text.flatMap(Kind.init(rawValue:))
        else { return nil }
        (self.run, self.kind) = (run, kind)
    }

    var name: String { "\(run).\(kind.rawValue)" }
}

extension StateDirectory {
    /// A new file, locked. The directory's shared lock keeps away who looks for what was cut off, until it is.
    func mark(_ mark: LiveMark) throws(SystemError) -> Descriptor {
        try FileLock.shared(live)
        defer { FileLock.release(live) }
        let file = try StateFile.create(mark.name, in: live, append: true)
        try FileLock.exclusive(file)
        return file
    }

    /// What a kill left of a mark, made an end of. nil: it is alive, or gone, or nothing had been begun.
    ///
    /// Who works on a workspace holds it before he makes his journal, so here, too, the workspace comes first.
    func recover(_ mark: LiveMark, holding held: HeldWorkspace? = nil) throws(SystemError) -> Undertaking.Remainder? {
        guard try isDead(mark) else { return nil }
        guard mark.kind == .journal else {
            guard let file = try claim(mark, waits: false) else { return nil }
            do throws(SystemError) {
                try finishDiscard(mark.run)
            } catch {
                // Removed by a prune in the moment before it was marked.
                if try StateFile.facts(of: "runs/\(mark.run)", in: root) != nil { throw error }
                try StateFile.remove(mark.name, in: live)
            }
            _ = consume file
            return nil
        }
        let bytes = try StateFile.read(mark.name, in: live, limit: 1 << 30)
        guard let workspace = Undertaking.workspace(of: bytes) else {
            // Not even the first line is whole, so nothing was begun.
            if try claim(mark, waits: false) != nil { try StateFile.remove(mark.name, in: live) }
            return nil
        }
        if let held, held.device != workspace.device || held.inode != workspace.inode { return nil }
        let own = if let held { held } else { try HeldWorkspace(workspace.path) }
        // While we waited another may have done it.
        guard let file = try claim(mark, waits: held != nil) else { return nil }
        var remainder = try Undertaking.recover(bytes, in: own, run: try Tree(at: runPath(mark.run)))
        if let kept = remainder?.kept { remainder?.kept = Path.join(runPath(mark.run), kept) }
        if remainder?.isDone == true {
            try conclude(mark.run)
        } else {
            try StateFile.remove(mark.name, in: live)
        }
        _ = consume file
        return remainder
    }

    /// Without keeping the lock: asked before anything is waited for.
    private func isDead(_ mark: LiveMark) throws(SystemError) -> Bool {
        do {
            let file = try StateFile.open(mark.name, in: live, O_RDWR)
            return try FileLock.attempt(file)
        } catch {
            if error.errno == ENOENT { return false }
            throw error
        }
    }

    /// The lock of a dead one's file; nil if it is gone, or in another's hands.
    ///
    /// - waits: its maker can't be alive, since the caller holds the workspace: whoever has the lock is only asking.
    private func claim(_ mark: LiveMark, waits: Bool) throws(SystemError) -> Descriptor? {
        do {
            // Not while it is made and isn't locked yet.
            try FileLock.exclusive(live)
            defer { FileLock.release(live) }
            let file = try StateFile.open(mark.name, in: live, O_RDWR)
            if waits { try FileLock.exclusive(file) } else if !(try FileLock.attempt(file)) { return nil }
            guard let named = try StateFile.facts(of: mark.name, in: live) else { return nil }
            if named.inode != (try StateFile.facts(file)).inode { return nil }
            return file
        } catch {
            if error.errno == ENOENT { return nil }
            throw error
        }
    }

    /// What was done is in the ledger, and the journal becomes the run's own: with that it isn't alive any more.
    func conclude(_ id: RunID) throws(SystemError) {
        let mark = LiveMark(id, .journal)
        let bytes = try StateFile.read(mark.name, in: live, limit: 1 << 30)
        guard let applied = Applied(bytes) else { throw SystemError("parse", Bytes(mark.name), errno: EUCLEAN) }
        try tell(id, applied.isReset ? .reset : .applied, changes: applied.changes, digest: SHA256.hex(bytes))
        let directory = try openRun(id)
        if aegix_rename_to(live.raw, mark.name, directory.raw, StateDirectory.appliedName) < 0 {
            throw SystemError.last("rename", Bytes(mark.name))
        }
    }

    /// Once, also when it is done again after a kill.
    func tell(_ id: RunID, _ kind: LedgerEntry.Kind, changes: Int, digest: String) throws(SystemError) {
        var isTold = false
        var (workspace, command): (Bytes?, Bytes) = (nil, [])
        if let reader = try LedgerReader.open(in: self) {
            _ = try reader.newestFirst(mentioning: Bytes(id.description)) { entry in
                guard entry.run == id else { return true }
                if entry.kind == kind, entry.result?.digest == digest { isTold = true }
                (workspace, command) = (entry.workspace, entry.command)
                return false
            }
        }
        if isTold { return }
        var entry = LedgerEntry(kind, id, time: Clock.realtime(), workspace: workspace, command: command)
        entry.result = LedgerEntry.Result(changes: changes, digest: digest)
        var ledger = try Ledger.open(in: self)
        try ledger.append(entry)
    }

    static let appliedName = "applied.jsonl"
}
