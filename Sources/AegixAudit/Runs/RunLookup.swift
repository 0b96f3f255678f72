// Side effects: reads the state directory. What a user means by RUN, and what the ledger tells of the runs.

import AegixSystem
import Glibc

extension StateDirectory {
    /// A run id, a unique prefix of one, the name of a sandbox, whose newest run is meant, or `last`: the newest finished run whose workspace is `directory` or above it.
    public func find(_ text: String, from directory: Bytes) throws(Failure) -> RunID {
        do {
            if text == "last" { return try last(from: directory) }
            if let id = try lastRun(inSandbox: text) { return id }
            let names = try StateFile.names(in: try StateFile.openDirectory("runs", in: root), room: 32 << 20)
            let wanted = Bytes(text.lowercased())
            let matches = names.filter { !wanted.isEmpty && $0.starts(with: wanted) }.compactMap {
                $0.text.flatMap { RunID($0) }
            }
            if matches.count == 1 { return matches[0] }
            if matches.isEmpty { throw try pruned(wanted) ?? unknown(text) }
            let some = matches.map(\.description).sorted().prefix(5).joined(separator: ", ")
            throw Failure(
                "run.ambiguous",
                "\(matches.count) runs begin with \(Bytes(text).shown): \(some)\(matches.count > 5 ? ", …" : ""). Write more of the id."
            )
        } catch let failure as Failure {
            throw failure
        } catch let error as SystemError {
            throw error.errno == ENOENT ? unknown(text) : failure(error)
        } catch {
            throw unknown(text)
        }
    }

    /// Why a run isn't there, where the ledger tells.
    private func pruned(_ wanted: Bytes) throws(SystemError) -> Failure? {
        guard !wanted.isEmpty, let ledger = try LedgerReader.open(in: self) else { return nil }
        var found: LedgerEntry?
        _ = try ledger.newestFirst(mentioning: Bytes("\"pruned\"")) { entry in
            if entry.kind == .pruned, Bytes(entry.run.description).starts(with: wanted) { found = entry }
            return found == nil
        }
        return found.map { entry in
            Failure(
                "run.pruned",
                "run \(entry.run) was removed by `aegix prune` on \(Clock.rfc3339(entry.time).prefix(19))Z: nothing is left "
                    + "of it but its lines in the ledger")
        }
    }

    /// Removed while it was looked for.
    private func wasPruned(_ id: RunID) -> Failure? {
        do throws(SystemError) { return try pruned(Bytes(id.description)) } catch { return nil }
    }

    private func unknown(_ text: String) -> Failure {
        Failure(
            "run.unknown", "there is no run \(Bytes(text).shown) in \(path.shown). `aegix history` lists the runs.")
    }

    private func last(from directory: Bytes) throws -> RunID {
        var found: RunID?
        var pruned: Set<RunID> = []
        let ledger = try LedgerReader.open(in: self)
        if let ledger {
            _ = try ledger.newestFirst { (entry: LedgerEntry) in
                if entry.kind == .pruned { pruned.insert(entry.run) }
                guard entry.kind.isEnd, !pruned.contains(entry.run), let workspace = entry.workspace,
                    Path.contains(workspace, directory)
                else {
                    return true
                }
                found = entry.run
                return false
            }
        }
        guard let found else {
            throw Failure(
                "run.unknown",
                "no run of this workspace (\(directory.shown) or a directory above it) has finished yet. "
                    + "`aegix history` lists the runs of all.")
        }
        return found
    }

    /// `audit.json` as it stands on disk.
    public func record(of id: RunID) throws(Failure) -> Bytes {
        do {
            return try StateFile.read("audit.json", in: try openRun(id), limit: 64 << 20)
        } catch {
            if error.errno == ENOENT {
                if let failure = wasPruned(id) { throw failure }
                throw Failure(
                    "run.unfinished",
                    "run \(id) is still going. What has happened so far is in \(runPath(id).shown)/events.jsonl.")
            }
            throw Failure("run.unreadable", "can't read the record of run \(id)", error)
        }
    }

    /// Runs, newest first, as the ledger tells them: each once, by its end, or by its start while it is alive.
    ///
    /// Only lines that mention what is asked for are read as entries; of the others it matters which run they end or prune.
    public func history(_ query: HistoryQuery) throws(Failure) -> History {
        var history = History()
        var ended: Set<LedgerText.Key> = []
        var listed: Set<LedgerText.Key> = []
        let needles = query.needles
        history.entries.reserveCapacity(query.limit)
        do {
            guard let ledger = try LedgerReader.open(in: self) else { return history }
            let isWhole = try ledger.newestLines { line in
                guard let brief = line.brief else { return true }
                let kind = brief.kind
                if kind == .pruned, let id = brief.run { history.pruned.insert(id) }
                if kind != .start, !kind.isEnd { return true }
                let run = brief.key
                if kind == .start, ended.remove(run) != nil { return true }
                if kind.isEnd { ended.insert(run) }
                guard needles.allSatisfy({ line.mentions($0) }), let entry = line.entry else { return true }
                if let since = query.since, entry.time < since { return false }
                // A run that was closed twice (aegix killed between two steps) counts once.
                guard query.matches(entry), !listed.contains(run) else { return true }
                if history.entries.count == query.limit {
                    history.hasMore = true
                    return false
                }
                listed.insert(run)
                history.entries.append(entry)
                return true
            }
            if !isWhole { history.hasMore = true }
        } catch {
            throw failure(error)
        }
        return history
    }
}

public struct HistoryQuery: Sendable {
    /// One of the record's, or `running`.
    public var status: String?
    /// Nanoseconds since 1970.
    public var since: UInt64?
    public var labels: [String: String] = [:]
    public var limit = 20

    public init() {}

    /// Bytes that the line of an entry that matches has.
    var needles: [Bytes] {
        var all = labels.map { JSON.string($0.key).canonical + Bytes(":") + JSON.string($0.value).canonical }
        if let status {
            let member = status == "running" ? ("kind", LedgerEntry.Kind.start.rawValue) : ("status", status)
            all.append(Bytes("\"\(member.0)\":") + JSON.string(member.1).canonical)
        }
        return all
    }

    func matches(_ entry: LedgerEntry) -> Bool {
        if let status, status != entry.closing?.status ?? "running" { return false }
        return labels.allSatisfy { entry.labels[$0.key] == $0.value }
    }
}

public struct History: Sendable {
    public var entries: [LedgerEntry] = []
    /// Of which nothing but the ledger's lines is left.
    public var pruned: Set<RunID> = []
    /// There are older ones that match, or may be.
    public var hasMore = false

    public init() {}
}
