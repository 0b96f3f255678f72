// Side effects: removes what was taken away from `runs/` and `sandboxes/`.

import AegixSystem
import AegixWorkspace
import CAegix
import Glibc

/// What is to be removed is renamed into `<state>/gone/` first, so that nobody meets half of it: a run as `<id>.run`, a
/// sandbox under a name of its own. Whoever removes one, or writes its last line in the ledger, has its lock.
extension StateDirectory {
    static let away = "gone"

    /// Removes it, as long as the time lasts. Whether nothing is left but what others are at.
    ///
    /// - until: by the monotonic clock.
    public func clearAway(until deadline: UInt64) throws(Failure) -> Bool {
        do throws(SystemError) {
            guard let away = try openAway() else { return true }
            for name in try StateFile.names(in: away.descriptor, room: 4 << 20) {
                guard let one = try Away(name, in: away) else { continue }
                if let run = one.run { try tellOnce(run) }
                if try !one.remove(until: deadline) { return false }
            }
            return true
        } catch {
            throw Failure("state.uncleared", "can't remove what is left in \(path.shown)/gone", error, exitCode: 123)
        }
    }

    /// The same in a process of its own, which nobody waits for.
    public func clearAwayAside() {
        if aegix_fork_aside() != 0 { return }
        do throws(Failure) { _ = try clearAway(until: .max) } catch {}  // `reset --all` tries again, and tells
        _exit(0)
    }

    /// The ledger's lines of runs whose prune was killed before it wrote them.
    func tellPruned() throws(SystemError) {
        guard let away = try openAway() else { return }
        for name in try StateFile.names(in: away.descriptor, room: 4 << 20) where Away.run(name) != nil {
            guard let one = try Away(name, in: away), let run = one.run else { continue }
            do throws(SystemError) {
                try tellOnce(run)
            } catch {
                // A full disk: who removes it makes room first.
                if error.errno != ENOSPC, error.errno != EDQUOT { throw error }
            }
        }
    }

    private func tellOnce(_ run: RunID) throws(SystemError) {
        var entry = LedgerEntry(.pruned, run, time: Clock.realtime(), workspace: nil, command: [])
        var isTold = false
        if let reader = try LedgerReader.open(in: self) {
            _ = try reader.newestFirst(mentioning: Bytes(run.description)) { found in
                guard found.run == run else { return true }
                isTold = found.kind == .pruned
                (entry.workspace, entry.command) = (found.workspace, found.command)
                return false
            }
        }
        if isTold { return }
        var ledger = try Ledger.open(in: self)
        try ledger.append(entry)
    }

    private func openAway() throws(SystemError) -> Tree? {
        do throws(SystemError) {
            return Tree(owning: try StateFile.openDirectory(StateDirectory.away, in: root))
        } catch {
            if error.errno == ENOENT { return nil }
            throw error
        }
    }
}

/// One directory in `gone/`, locked.
struct Away {
    let run: RunID?
    private let name: Bytes
    private let away: Tree
    private let tree: Tree

    /// nil: it isn't there any more, or somebody else is at it, or aegix never put it there.
    init?(_ name: Bytes, in away: Tree) throws(SystemError) {
        do throws(SystemError) {
            tree = try away.directory(name)
        } catch {
            if error.errno == ENOENT || error.isNoDirectory { return nil }
            throw error
        }
        guard try FileLock.attempt(tree.descriptor),
            let there = try away.facts(name: name), there.inode == (try FileFacts(of: tree.descriptor)).inode
        else { return nil }
        (self.name, self.away, run) = (name, away, Away.run(name))
    }

    static func run(_ name: Bytes) -> RunID? {
        guard let text = name.text, text.hasSuffix(suffix) else { return nil }
        return RunID(String(text.dropLast(suffix.count)))
    }

    static func name(_ run: RunID) -> String { "\(run)\(suffix)" }

    private static let suffix = ".run"

    /// Whether all of it is gone.
    func remove(until deadline: UInt64) throws(SystemError) -> Bool { try away.removeAll(name, until: deadline) }
}
