// Side effects: reads the state directory, closes the records of killed runs, writes to the console.

import AegixAudit
import AegixSystem
import AegixWorkspace
import Glibc

/// `aegix show RUN|BUNDLE`.
public enum ShowCommand: Command {
    public static let name = "show"
    public static let summary = "show the record of a run"
    public static let usage = ["show RUN [--state-dir DIR] [--json]", "show BUNDLE [--json]"]
    public static let details = """
        RUN is a run id, a unique prefix of one, or `last`: the newest finished run of the workspace that the current \
        directory lies in. Shown are the outcome, the controls that held, the programs that ran, what was refused, what \
        changed, and where output and changes lie. Names are shown with control characters made visible.

        BUNDLE is a file of `aegix export`: a path with a slash, or one that ends in .aegix. It is verified before anything of \
        it is shown; whose signature it carries `aegix verify` tells.

        With --json it prints `audit.json` as it is on disk; `docs/audit.md` explains each member.
        """
    public static let options = [Option.recordState]

    public static func run(_ arguments: Arguments, _ console: Console) throws(Failure) -> Int32 {
        let word = try arguments.operands("RUN")[0]
        if BundleReader.isPath(word) { return try show(word, console) }
        guard let text = word.text else { throw Failure("run.unknown", "there is no run \(word.shown)") }
        let path = try StateLocation.current(option: arguments.value("state-dir"))
        guard let state = try RecordState.open(at: path, console) else {
            throw Failure("run.unknown", "there is no run \(word.shown): no run was ever recorded in \(path.shown)")
        }
        let id = try state.find(text, from: RecordState.currentDirectory())
        let bytes = try state.record(of: id)
        let record: JSON
        do {
            record = try JSON.parse(bytes)
        } catch {
            throw Failure("run.unreadable", "the record of run \(id) is damaged \(error)")
        }
        if console.json {
            // Canonical on disk, so these are the same bytes.
            try console.document(record)
        } else {
            let place = ["", "all of it is in", "  " + state.runPath(id).shown]
            try console.print((RecordText.lines(record) + place).joined(separator: "\n"))
        }
        return 0
    }

    private static func show(_ bundle: Bytes, _ console: Console) throws(Failure) -> Int32 {
        let reader = try BundleReader(bundle)
        let verdict: BundleVerdict
        switch reader.verify(keys: .none) {
        case .failure(let fault): throw reader.failure(fault)
        case .success(let found): verdict = found
        }
        let record: JSON
        do { record = try JSON.parse(verdict.record) } catch {
            throw Failure("bundle.damaged", "the record in \(bundle.shown) is damaged \(error)")
        }
        if console.json {
            try console.document(record)
            return 0
        }
        let signed =
            verdict.signatures.isEmpty
            ? ["not signed: whoever made the file could have written all of it"]
            : verdict.signatures.map(BundleText.signature)
        let lines = RecordText.lines(record, isElsewhere: true) + ["", "from the bundle " + bundle.shown]
        try console.print(
            (lines + (signed + BundleText.leftOut(verdict.index)).map { "  " + $0 }).joined(separator: "\n"))
        return 0
    }
}

extension Option {
    static let recordState = Option(
        "state-dir", "DIR", completes: .directory,
        help: "Read the records in DIR. Default: $AEGIX_STATE, else $XDG_STATE_HOME/aegix, else ~/.local/state/aegix.")
}

/// What the commands that look at records share.
enum RecordState {
    /// nil where no run was ever recorded. Killed runs get their record first.
    static func open(at path: Bytes, _ console: Console) throws(Failure) -> StateDirectory? {
        guard let state = try StateDirectory.openExisting(at: path) else { return nil }
        let recovery = try state.closeInterrupted()
        tellFailed(recovery, console)
        for one in recovery.transactions { console.note(line(one.run, one.remainder)) }
        tellCgroups(recovery, console)
        return state
    }

    static func tellFailed(_ recovery: Recovery, _ console: Console) {
        for failed in recovery.failed {
            console.note("can't clear what the killed aegix of run \(failed.run) left: \(failed.error)")
        }
    }

    /// What somebody put where only runs and sandboxes are.
    static func tellStrays(_ state: StateDirectory?, _ console: Console) throws(Failure) {
        guard let state else { return }
        let strays = try state.strays()
        if strays.isEmpty { return }
        console.note(
            "passed over in \(state.path.shown), since they are no directories and not of aegix's making: "
                + strays.map { RecordText.clipped($0.shown) }.joined(separator: ", "))
    }

    /// What became of an apply or a reset that was cut off.
    static func line(_ run: RunID, _ remainder: Undertaking.Remainder) -> String {
        let what = "the \(remainder.verb) of run \(run) had been cut off: "
        if remainder.isDone { return what + "it was complete" }
        if remainder.left.isEmpty { return what + "it is undone" }
        let some = remainder.left.prefix(5).map(\.shown).joined(separator: ", ")
        let more = remainder.left.count > 5 ? " and \(remainder.left.count - 5) more" : ""
        let place = remainder.kept.map { "; what belongs there is in \($0.shown)" } ?? ""
        return what + "it is undone but for \(some)\(more), changed by somebody else since\(place)"
    }

    /// Left for the next command.
    static func tellCgroups(_ recovery: Recovery, _ console: Console) {
        for failed in recovery.cgroups.failed {
            console.note("can't remove the cgroup \(Bytes(failed.name).shown) of a killed run: \(failed.error.reason)")
        }
    }

    /// Canonical, as getcwd gives it; a deleted one is in no workspace.
    static func currentDirectory() -> Bytes {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        guard getcwd(&buffer, buffer.count) != nil else { return Bytes("/") }
        return buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
    }
}
