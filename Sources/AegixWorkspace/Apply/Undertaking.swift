// Side effects: changes a workspace under a journal, finishes what a kill left, or takes it back.

import AegixSystem
import CAegix
import Glibc

/// What was done to a workspace, as its journal tells: what a reset undoes.
public struct Applied: Sendable {
    let journal: Journal

    /// nil: not a journal that came to its end.
    public init?(_ bytes: Bytes) {
        guard let journal = Journal.decode(bytes), journal.state == .done else { return nil }
        self.journal = journal
    }

    public var isReset: Bool { journal.head.verb == .reset }
    public var workspace: Bytes { journal.head.workspace }
    public var device: UInt64 { journal.head.device }
    public var inode: UInt64 { journal.head.inode }
    /// How many of the run's changes were applied, or undone.
    public var changes: Int { journal.head.changes }
}

/// An apply or a reset from its first line in the journal to its last.
///
/// Order: the head of the journal, so that a staging directory is always known of; the staging directory and what goes in
/// it; the steps; the steps done; `done`. From there on it is only tidied: a kill before `done` leads back, one after
/// it forward.
public struct Undertaking: ~Copyable {
    private let preparation: Preparation
    private let run: Tree
    private let journal: Descriptor
    private let head: Journal.Head
    private let isDurable: Bool

    /// - run: the run's own directory.
    /// - journal: locked as long as this lives, and known to whoever comes after a kill.
    public init(
        _ preparation: Preparation, of id: RunID, run: Tree, journal: consuming Descriptor, isDurable: Bool
    ) throws(TransactionFault) {
        let held = preparation.held
        let head: Journal.Head
        do throws(SystemError) {
            var random: UInt32 = 0
            if aegix_random(&random, 4) != 4 { throw SystemError.last("getrandom") }
            head = Journal.Head(
                verb: preparation.verb, run: id.description, workspace: held.path, device: held.device,
                inode: held.inode, staging: Bytes(".aegix-\(id)-\(String(random, radix: 16))"),
                copies: try FileFacts(of: run.descriptor).device != held.device, changes: preparation.changes,
                time: Clock.realtime())
            try journal.writeAll(Journal.encode(head))
        } catch {
            throw .failed("can't begin the journal", error)
        }
        self.preparation = preparation
        self.run = run
        self.head = head
        self.isDurable = isDurable
        self.journal = journal
    }

    /// Everything, or nothing but `stuck`.
    public func carryOut() throws(TransactionFault) {
        do throws(TransactionFault) {
            let staging = try makeStaging()
            try preparation.stage(in: staging, run: run, copies: head.copies)
            try write(Journal.encode(preparation.steps))
            try sync()
            // An interruption in between would only make work for the next command.
            let waiting = SignalHold()
            try Transaction(workspace: preparation.held.tree, staging: staging, steps: preparation.steps).run()
            try write(Journal.encode(.done))
            withExtendedLifetime(waiting) {}
        } catch {
            if case .stuck = error { throw error }
            do throws(SystemError) {
                try Undertaking.takeBack(head, preparation.held.tree, run)
            } catch let undone {
                throw .stuck(undone)
            }
            throw error
        }
    }

    /// After `done`.
    public func tidy() throws(SystemError) {
        try Undertaking.tidy(head, preparation.held.tree, run)
        if isDurable { try Undertaking.sync(run) }
    }

    private func makeStaging() throws(TransactionFault) -> Tree {
        let top = preparation.held.tree
        do throws(SystemError) {
            if head.verb == .reset, !head.copies {
                try run.move(PreImages.name, to: top, head.staging)
            } else {
                try top.makeDirectory(head.staging)
            }
            return try top.directory(head.staging)
        } catch {
            throw .failed("can't prepare in the workspace", error)
        }
    }

    private func write(_ lines: Bytes) throws(TransactionFault) {
        do throws(SystemError) {
            try journal.writeAll(lines)
        } catch {
            // The steps may have been done by now.
            if lines == Journal.encode(.done) { try undoAll() }
            throw .failed("can't write the journal", error)
        }
    }

    private func undoAll() throws(TransactionFault) {
        do throws(SystemError) {
            let staging = try preparation.held.tree.directory(head.staging)
            let transaction = Transaction(
                workspace: preparation.held.tree, staging: staging, steps: preparation.steps)
            if let left = try transaction.undo().first { throw SystemError("undo", left, errno: EBUSY) }
        } catch {
            throw .stuck(error)
        }
    }

    private func sync() throws(TransactionFault) {
        guard isDurable else { return }
        do throws(SystemError) {
            try Undertaking.sync(preparation.held.tree)
            if head.copies { try Undertaking.sync(run) }
        } catch {
            throw .failed("can't make sure that it is on disk", error)
        }
    }

    private static func sync(_ tree: Tree) throws(SystemError) {
        if aegix_sync_file_system(tree.raw) < 0 { throw SystemError.last("syncfs") }
    }

    // MARK: - What every end has in common. Each can be killed and done again.

    private static func tidy(_ head: Journal.Head, _ workspace: Tree, _ run: Tree) throws(SystemError) {
        if head.verb == .apply, !head.copies {
            if try workspace.facts(name: head.staging) != nil {
                try workspace.move(head.staging, to: run, PreImages.name)
            }
        } else {
            try workspace.removeAll(head.staging)
        }
        if head.verb == .reset { try run.removeAll(PreImages.name) }
    }

    /// Nothing is in place any more, or never was.
    private static func takeBack(_ head: Journal.Head, _ workspace: Tree, _ run: Tree) throws(SystemError) {
        if head.verb == .reset, !head.copies {
            if try workspace.facts(name: head.staging) != nil {
                try workspace.move(head.staging, to: run, PreImages.name)
            }
            return
        }
        try workspace.removeAll(head.staging)
        if head.verb == .apply { try run.removeAll(PreImages.name) }
    }

    // MARK: - After a kill

    /// What came of one that was cut off.
    public struct Remainder: Sendable {
        public var verb: String
        /// It had happened, and is tidied; else it was undone.
        public var isDone: Bool
        /// Somebody had changed these since; they are as he left them.
        public var left: [Bytes] = []
        /// Where what belongs to them lies.
        public var kept: Bytes?
    }

    /// Which workspace a journal is of; nil: nothing was begun.
    public static func workspace(of journal: Bytes) -> (path: Bytes, device: UInt64, inode: UInt64)? {
        Journal.decode(journal).map { ($0.head.workspace, $0.head.device, $0.head.inode) }
    }

    /// The workspace is held by the caller.
    public static func recover(_ bytes: Bytes, in held: HeldWorkspace, run: Tree) throws(SystemError) -> Remainder? {
        guard let journal = Journal.decode(bytes) else { return nil }
        let head = journal.head
        guard held.device == head.device, held.inode == head.inode else {
            throw SystemError("recover", head.workspace, errno: ESTALE)
        }
        var remainder = Remainder(verb: head.verb.rawValue, isDone: journal.state == .done)
        switch journal.state {
        case .done: try tidy(head, held.tree, run)
        case .begun: try takeBack(head, held.tree, run)
        case .ready:
            if try held.tree.facts(name: head.staging) != nil {
                let staging = try held.tree.directory(head.staging)
                remainder.left = try Transaction(workspace: held.tree, staging: staging, steps: journal.steps).undo()
            }
            if remainder.left.isEmpty {
                try takeBack(head, held.tree, run)
            } else {
                remainder.kept = try keep(head, held, run)
            }
        }
        return remainder
    }

    /// What couldn't be put back stays, out of the workspace where that is a matter of a rename.
    private static func keep(
        _ head: Journal.Head, _ held: HeldWorkspace, _ run: Tree
    ) throws(SystemError) -> Bytes {
        if head.copies { return Path.join(held.path, head.staging) }
        let name = Bytes("left") + head.staging
        if try held.tree.facts(name: head.staging) != nil { try held.tree.move(head.staging, to: run, name) }
        return name
    }
}

/// SIGINT and its like wait while this lives.
final class SignalHold {
    private var before = sigset_t()

    init() {
        var waiting = sigset_t()
        sigemptyset(&waiting)
        for signal in [SIGINT, SIGTERM, SIGHUP] { sigaddset(&waiting, signal) }
        sigprocmask(SIG_BLOCK, &waiting, &before)
    }

    deinit { sigprocmask(SIG_SETMASK, &before, nil) }
}
