// Side effects: a run's changes into its workspace, out of it again, or dropped.

import AegixSystem
import AegixWorkspace
import CAegix
import Glibc

/// What was asked of an apply.
public struct ApplyRequest {
    public var includesProtected = false
    /// Whether a path of the workspace is asked for; nil: all are.
    public var isAsked: ((Bytes) -> Bool)?
    /// nil: it is only applied.
    public var commit: CommitRequest?

    public init() {}
}

/// What came of an apply or a reset.
public struct ApplyReport: Sendable {
    public var run: RunID
    public var workspace: Bytes
    public var status: Status
    /// Paths that are other than before.
    public var changed: [Bytes] = []
    /// How many of the changes asked for were there already.
    public var already = 0
    public var leftOut: [Selection.LeftOut] = []
    /// Of those applied: a secret of the run is in them.
    public var secrets: [Bytes] = []
    public var conflicts: [Conflict] = []
    /// The commit that was made of the changes.
    public var commit: String?
    /// Applied, and in no commit, since git hadn't tracked them.
    public var untracked: [Bytes] = []
    /// How many changes of git directories weren't applied, for the commit's sake.
    public var inGit = 0

    public enum Status: String, Sendable {
        case applied
        /// It had been before.
        case already
        /// Nothing of the run was left to be done.
        case nothing
        case conflict
        case reset
    }
}

extension StateDirectory {
    /// Where a run's changes are.
    public func applied(of id: RunID) throws(Failure) -> Applied? {
        do throws(SystemError) {
            return Applied(try StateFile.read(StateDirectory.appliedName, in: try openRun(id), limit: 1 << 30))
        } catch {
            if error.errno == ENOENT { return nil }
            throw failure(error)
        }
    }

    public func isDiscarded(_ id: RunID) throws(Failure) -> Bool {
        do throws(SystemError) {
            return try StateFile.facts(of: StateDirectory.discardedName, in: try openRun(id)) != nil
        } catch {
            throw failure(error)
        }
    }

    /// Stages: what is asked for; the workspace held; compared; the commit prepared; staged and carried out under a journal;
    /// the commit published; told.
    ///
    /// - named: the sandbox that the run took place in, where the run itself holds it.
    public func apply(
        _ id: RunID, _ request: ApplyRequest = ApplyRequest(), in named: NamedSandbox? = nil
    ) throws(Failure) -> ApplyReport {
        let run = try changes(of: id)
        if run.record["invocation"]?["how"]?.string == RunStart.Invocation.replay {
            throw Failure(
                "apply.replay", "run \(id) is a replay of another one, and nothing of it is ever applied", exitCode: 1)
        }
        let sandbox = try self.hold(id, in: run.sandbox, held: named)
        var report = ApplyReport(run: id, workspace: run.workspace, status: .nothing)
        if run.list.changes.isEmpty {
            if request.commit != nil { throw uncommitted(id, "changed nothing") }
            return report
        }
        if try isDiscarded(id) {
            throw Failure("run.discarded", "the changes of run \(id) were dropped by `aegix discard`", exitCode: 1)
        }
        if !run.list.cut.isEmpty {
            let bounds = run.list.cut.map(\.rawValue).sorted().joined(separator: ", ")
            throw Failure(
                "apply.cut",
                "run \(id) changed more than was listed (\(bounds)), so what would be applied isn't known. "
                    + "Its layer is in \(run.layer?.upper.shown ?? runPath(id).shown).", exitCode: 1)
        }
        guard let layer = run.layer else {
            throw Failure(
                "apply.direct", "run \(id) wrote its workspace in place: there is nothing to apply", exitCode: 1)
        }
        let isAsked = request.isAsked ?? { _ in true }
        // What the run did in a git directory, be it that `git status` refreshed the index, isn't mixed with a commit.
        let isCommitted = request.commit != nil
        let selection = Selection(run.list, includesProtected: request.includesProtected) { path in
            !(isCommitted && GitCommit.isInGit(path)) && isAsked(path)
        }
        if isCommitted { report.inGit = run.list.changes.count { GitCommit.isInGit($0.path) && isAsked($0.path) } }
        report.leftOut = selection.leftOut
        let held = try hold(run.workspace)
        if let applied = try applied(of: id), !applied.isReset {
            if request.commit != nil { throw uncommitted(id, "is already applied") }
            report.status = .already
            return report
        }
        if selection.chosen.isEmpty {
            if request.commit != nil { throw uncommitted(id, "changed nothing that is to be applied") }
            return report
        }
        let preparation: Preparation
        do throws(TransactionFault) {
            preparation = try Preparation(applying: selection.chosen, of: layer, to: held)
            report.already = selection.chosen.count - preparation.changes - preparation.conflicts.count
            if !preparation.conflicts.isEmpty { throw .conflicts(preparation.conflicts) }
        } catch {
            report.conflicts = try conflicts(error, id, run.workspace)
            report.status = .conflict
            return report
        }
        let commit = try request.commit.map { request throws(Failure) in
            try GitCommit(request, of: id, selection.chosen, try content(layer, run), in: held)
        }
        if preparation.changes > 0 { try carryOut(preparation, run, sandbox, &report) }
        if report.status == .applied || commit != nil {
            report.secrets = selection.chosen.filter { $0.flags.contains(.secret) }.map(\.path)
        }
        if let commit, report.status != .conflict {
            try commit.publish()
            (report.commit, report.untracked) = (commit.id, commit.untracked)
            try tellCommit(id, commit.id)
        }
        return report
    }

    private func uncommitted(_ id: RunID, _ why: String) -> Failure {
        Failure("commit.nothing", "run \(id) \(why), so there is nothing to commit", exitCode: 1)
    }

    private func content(_ layer: Layer, _ run: RunChanges) throws(Failure) -> ReviewSource {
        do throws(SystemError) {
            return try ReviewSource(layer, over: run.workspace, run.list)
        } catch {
            throw Failure("run.unreadable", "can't open the layer of run \(run.run)", error, exitCode: 1)
        }
    }

    private func tellCommit(_ id: RunID, _ commit: String) throws(Failure) {
        do throws(SystemError) {
            try tell(id, .committed, changes: 0, digest: commit)
        } catch {
            throw Failure(
                "apply.untidy",
                "the changes of run \(id) are committed as \(commit), but the ledger couldn't be written",
                error, exitCode: 123)
        }
    }

    private func carryOut(
        _ preparation: Preparation, _ run: RunChanges, _ sandbox: NamedSandbox?, _ report: inout ApplyReport
    ) throws(Failure) {
        let id = run.run
        do throws(TransactionFault) {
            try carryOut(preparation, id, isDurable: isDurable(run.record))
            report.changed = preparation.changed
            report.status = .applied
            do throws(SystemError) {
                try sandbox?.handLayer(to: id, in: self)
            } catch {
                throw .untidy(error)
            }
        } catch {
            report.conflicts = try conflicts(error, id, run.workspace)
            report.status = .conflict
        }
    }

    /// The way back of what was applied, by the same means.
    public func reset(_ id: RunID) throws(Failure) -> ApplyReport {
        guard let first = try applied(of: id) else {
            throw Failure(
                "reset.unapplied",
                "run \(id) wasn't applied, so there is nothing to undo. `aegix discard \(id)` drops its layer.",
                exitCode: 1
            )
        }
        var report = ApplyReport(run: id, workspace: first.workspace, status: .nothing)
        let held = try hold(first.workspace)
        guard let applied = try applied(of: id), !applied.isReset else { return report }
        guard held.device == applied.device, held.inode == applied.inode else {
            throw Failure(
                "workspace.other", "\(held.path.shown) isn't the directory that run \(id) was applied to", exitCode: 1)
        }
        let isDurable = isDurable(try changes(of: id).record)
        do throws(TransactionFault) {
            let preparation = try Preparation(undoing: applied, in: held)
            if !preparation.conflicts.isEmpty { throw .conflicts(preparation.conflicts) }
            try carryOut(preparation, id, isDurable: isDurable)
            report.changed = preparation.changed
            report.status = .reset
        } catch {
            report.conflicts = try conflicts(error, id, first.workspace)
            report.status = .conflict
        }
        return report
    }

    /// Held, and as the last that was at work in it meant to leave it.
    private func hold(_ workspace: Bytes) throws(Failure) -> HeldWorkspace {
        do throws(SystemError) {
            let held = try HeldWorkspace(workspace)
            for name in try StateFile.names(in: live) {
                if let mark = LiveMark(name), mark.kind == .journal { _ = try recover(mark, holding: held) }
            }
            return held
        } catch {
            if error.errno == ETIMEDOUT {
                throw Failure(
                    "workspace.busy",
                    "another aegix has been changing \(workspace.shown) for half a minute. Try again later.",
                    errno: error.errno, exitCode: 1)
            }
            throw Failure("workspace.missing", "can't open the workspace \(workspace.shown)", error, exitCode: 1)
        }
    }

    private func carryOut(_ preparation: Preparation, _ id: RunID, isDurable: Bool) throws(TransactionFault) {
        let mark = LiveMark(id, .journal)
        let journal: Descriptor
        do throws(SystemError) {
            journal = try self.mark(mark)
        } catch {
            throw .failed("can't begin the journal", error)
        }
        let run: Tree
        do throws(SystemError) {
            // After the mark: a run that has one isn't removed.
            run = try Tree(at: runPath(id))
        } catch {
            _ = aegix_unlinkat(live.raw, mark.name, 0)
            throw .failed("can't open the run", error)
        }
        do throws(TransactionFault) {
            let undertaking = try Undertaking(preparation, of: id, run: run, journal: journal, isDurable: isDurable)
            try undertaking.carryOut()
            // Past the point of return: what fails now is left to the next command, as after a kill.
            do throws(SystemError) {
                try undertaking.tidy()
                try conclude(id)
            } catch {
                throw .untidy(error)
            }
        } catch {
            switch error {
            case .stuck, .untidy: break
            case .conflicts, .failed: _ = aegix_unlinkat(live.raw, mark.name, 0)
            }
            throw error
        }
    }

    /// What is told path by path; anything else is a failure.
    private func conflicts(
        _ fault: TransactionFault, _ id: RunID, _ workspace: Bytes
    ) throws(Failure) -> [Conflict] {
        switch fault {
        case .conflicts(let conflicts): return conflicts
        case .failed(let what, let error):
            throw Failure(
                "apply.failed", "\(workspace.shown) is as it was: \(what): \(error.reason)", errno: error.errno,
                exitCode: 1)
        case .stuck(let error):
            throw Failure(
                "apply.stuck",
                "\(workspace.shown) is half changed: \(error). The next aegix command tries again to put it back; "
                    + "remove what hinders it first.", errno: error.errno, exitCode: 1)
        case .untidy(let error):
            throw Failure(
                "apply.untidy",
                "\(workspace.shown) is changed, all of it, but that couldn't be written down: \(error). The next aegix "
                    + "command tries again.", errno: error.errno, exitCode: 1)
        }
    }

    private func isDurable(_ record: JSON) -> Bool {
        record["policy"]?["effective"]?["audit"]?["durable"]?.bool == true
    }

    // MARK: - Dropping

    /// False: there was nothing to drop.
    public func discard(_ id: RunID) throws(Failure) -> Bool {
        let sandbox = try hold(id, in: try sandbox(of: id))
        do throws(SystemError) {
            try sandbox?.handLayer(to: id, in: self)
            guard try StateFile.facts(of: "layer", in: try openRun(id)) != nil else { return false }
            let file = try mark(LiveMark(id, .discard))
            try finishDiscard(id)
            _ = consume file
            return true
        } catch {
            if error.errno == EEXIST { return true }
            throw Failure("discard.failed", "can't remove the layer of run \(id)", error)
        }
    }

    /// Out of the way first, so that nobody takes half a layer for a whole one. Can be killed and done again.
    func finishDiscard(_ id: RunID) throws(SystemError) {
        let run = try openRun(id)
        let note = Bytes("{\"run_id\":\"\(id)\",\"schema\":\"aegix.discarded/v1\"}\n")
        try StateFile.replace(note, at: StateDirectory.discardedName, in: run)
        if aegix_renameat(run.raw, "layer", "layer.gone") < 0, errno != ENOENT {
            throw SystemError.last("rename", Bytes("layer"))
        }
        try Tree(at: runPath(id)).removeAll(Bytes("layer.gone"))
        try tell(id, .discarded, changes: 0, digest: SHA256.hex(note))
        try StateFile.remove(LiveMark(id, .discard).name, in: live)
    }

    static let discardedName = "discarded.json"
}
