// Side effects: removes runs from `<state>/runs/`.

import AegixSystem
import AegixWorkspace
import CAegix
import Glibc

/// Which runs may go: those for which all that is given here says so.
public struct PruneRequest: Sendable {
    /// The newest stay.
    public var keep: Int?
    /// Those that ended later stay. Nanoseconds since 1970.
    public var endedBefore: UInt64?
    /// Once the runs take no more than this, the others stay.
    public var size: UInt64?
    public var includesUnreviewed = false
    public var isDry = false

    public init() {}
}

public struct PruneReport: Sendable {
    public struct Run: Sendable {
        public var id: RunID
        public var standing: RunStanding
        public var size: TreeSize
        /// When it ended; where the ledger doesn't tell, when it began.
        public var ended: UInt64
        public var workspace: Bytes?
        public var command: Bytes
    }

    /// Or would be.
    public var removed: [Run] = []
    /// These would have gone, but for their standing.
    public var stays: [Run] = []
    public var failed: [(run: RunID, error: SystemError)] = []
    /// The bound on one call was reached: another call does more.
    public var hasMore = false

    public init() {}
}

extension StateDirectory {
    /// The most that one call removes, so that all of them can be named.
    static let mostPruned = 10_000
    /// For looking at sizes, in nanoseconds: what isn't counted by then counts as nothing.
    private static let patience: UInt64 = 60_000_000_000

    /// Stages: the runs and what the ledger knows of them; those that the request leaves, the oldest first; what each one
    /// stands for; renamed away, told, removed. Not done here: nothing of a run is read but its record.
    public func prune(_ request: PruneRequest) throws(Failure) -> PruneReport {
        do throws(SystemError) {
            var report = PruneReport()
            let told = try endings()
            let all = try runNames()
            var candidates = all.dropFirst(request.keep ?? 0).map { run(told[$0], $0) }
            if let last = request.endedBefore { candidates = candidates.filter { $0.ended < last } }
            let deadline = Clock.monotonic() + StateDirectory.patience
            var total: UInt64 = 0
            if request.size != nil {
                for id in all { total += try size(of: id, until: deadline).bytes }
            }
            var ledger = try Ledger.open(in: self)
            for var run in candidates.reversed() {
                if let most = request.size, total <= most { break }
                if report.removed.count + report.stays.count == StateDirectory.mostPruned {
                    report.hasMore = true
                    break
                }
                do throws(SystemError) {
                    run.size = try size(of: run.id, until: deadline)
                    let mayGo = { (standing: RunStanding) -> Bool in
                        !standing.isHeld && (request.includesUnreviewed || !standing.isUnreviewed)
                    }
                    run.standing = try standing(of: run.id)
                    if mayGo(run.standing), !request.isDry { run.standing = try remove(run, &ledger, if: mayGo) }
                    guard mayGo(run.standing) else {
                        report.stays.append(run)
                        continue
                    }
                    report.removed.append(run)
                    total -= min(total, run.size.bytes)
                } catch {
                    // Removed by somebody else meanwhile.
                    if error.errno == ENOENT, try StateFile.facts(of: "runs/\(run.id)", in: root) == nil { continue }
                    report.failed.append((run.id, error))
                }
            }
            return report
        } catch {
            throw failure(error)
        }
    }

    /// Newest first.
    private func runNames() throws(SystemError) -> [RunID] {
        guard try StateFile.facts(of: "runs", in: root) != nil else { return [] }
        let runs = Tree(owning: try StateFile.openDirectory("runs", in: root))
        var found: [RunID] = []
        for entry in try runs.entries() {
            if let id = entry.name.text.flatMap({ RunID($0) }), try runs.isDirectory(entry) { found.append(id) }
        }
        return found.sorted { $0.description > $1.description }
    }

    private func endings() throws(SystemError) -> [RunID: LedgerEntry] {
        var found: [RunID: LedgerEntry] = [:]
        guard let ledger = try LedgerReader.open(in: self) else { return found }
        _ = try ledger.newestFirst { entry in
            if entry.kind.isEnd { found[entry.run] = entry }
            return true
        }
        return found
    }

    private func run(_ told: LedgerEntry?, _ id: RunID) -> PruneReport.Run {
        PruneReport.Run(
            id: id, standing: .damaged, size: TreeSize(), ended: told?.time ?? id.milliseconds * 1_000_000,
            workspace: told?.workspace, command: told?.command ?? [])
    }

    private func size(of id: RunID, until deadline: UInt64) throws(SystemError) -> TreeSize {
        do throws(SystemError) {
            return try TreeSize.measure(runPath(id), until: deadline)
        } catch {
            if error.errno == ENOENT { return TreeSize() }
            throw error
        }
    }

    // MARK: - One run

    /// What it stood for when it was looked at once more. The rename is what counts: a kill before it leaves the run, one
    /// after it a directory in `gone/`, whose name says what is still to be written and removed.
    private func remove(
        _ run: PruneReport.Run, _ ledger: inout Ledger, if mayGo: (RunStanding) -> Bool
    ) throws(SystemError) -> RunStanding {
        try StateDirectory.makeIfMissing(StateDirectory.away, in: root)
        let tree = Tree(owning: try openRun(run.id))
        // Ours from before the rename, so that nobody else tells it or removes it.
        guard try FileLock.attempt(tree.descriptor) else { return .busy }
        let standing = try takeAway(run.id, if: mayGo)
        guard mayGo(standing) else { return standing }
        let entry = LedgerEntry(
            .pruned, run.id, time: Clock.realtime(), workspace: run.workspace, command: run.command)
        do throws(SystemError) {
            try ledger.append(entry)
        } catch {
            // On a full disk the line has room once the run is gone.
            guard error.errno == ENOSPC || error.errno == EDQUOT else { throw error }
            _ = try tree.empty()
            try ledger.append(entry)
        }
        try Tree(owning: try StateFile.openDirectory(StateDirectory.away, in: root)).removeAll(
            Bytes(Away.name(run.id)))
        return standing
    }

    private func takeAway(_ id: RunID, if mayGo: (RunStanding) -> Bool) throws(SystemError) -> RunStanding {
        // Who marks a run as being worked on needs this lock shared, and looks for the run after that.
        try FileLock.exclusive(live)
        defer { FileLock.release(live) }
        let standing = try standing(of: id)
        let (from, to) = ("runs/\(id)", "\(StateDirectory.away)/\(Away.name(id))")
        if mayGo(standing), aegix_renameat(root.raw, from, to) < 0 { throw SystemError.last("rename", Bytes(from)) }
        return standing
    }
}
