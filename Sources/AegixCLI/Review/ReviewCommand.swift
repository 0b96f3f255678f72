// Side effects: reads a run's layer and the workspace beneath it, writes to the console or a pager.

import AegixAudit
import AegixPolicy
import AegixSystem
import AegixWorkspace
import Glibc

/// `aegix review RUN`.
///
/// Stages: the run and its list; the choice of paths; then one of four forms: a summary, a patch, a document, or all of it
/// for a person. Not done here: nothing of the workspace is run or changed. No git and no diff is started: what they could be
/// made to run lies in the workspace (SECURITY.md, rule 14).
public enum ReviewCommand: Command {
    public static let name = "review"
    public static let summary = "show what a run changed in its workspace"
    public static let usage = [
        "review RUN [--only GLOB]… [--stat] [--color WHEN] [--no-pager]", "review RUN [--only GLOB]… --patch",
        "review RUN [--only GLOB]… --json",
    ]
    public static let details = """
        RUN is a run id, a unique prefix of one, or `last`: the newest finished run of the workspace that the current \
        directory lies in. On top stand the changes that need a second look: what the policy protects, what programs of \
        the host would run, setuid bits, special files. Then a tree of all changes with their sizes, then the differences \
        of text files. Control characters in names and contents are made visible, and what is very long is cut and said to be.

        The differences are those between the workspace as it is now and what the run left. Where the workspace's own file has \
        changed since, that is said instead.

        With --patch the changes are a patch for `git apply` and, as far as it is text, `patch -p1`:

         aegix review last --patch | git apply

        It carries files, symlinks and whether a file is executable. It leaves out git directories, special files, empty \
        directories, other permissions and times, and says on stderr how many changes that were.
        """
    public static let options = [
        Option("stat", help: "Show what is flagged and the tree of changes, and no differences."),
        Option("patch", help: "Print a patch, byte for byte where stdout is no terminal."),
        Option(
            "only", "GLOB", repeatable: true,
            help: """
                Show only changes whose path matches GLOB, or lies beneath what it matches. It is relative to the \
                workspace; `**` stands for any number of directories. May be given more than once. Default: all.
                """),
        Option(
            "color", "WHEN", completes: .words(["auto", "always", "never"]),
            help: """
                Use colours always, never, or (auto) where stdout is a terminal and NO_COLOR isn't set. Default: auto.
                """),
        Option(
            "no-pager",
            help: """
                Print straight to the terminal. Default: a terminal gets it through $AEGIX_PAGER, else $PAGER, else `less`.
                """),
        Option.recordState,
    ]

    public static func run(_ arguments: Arguments, _ console: Console) throws(Failure) -> Int32 {
        let form = try ReviewForm(arguments, console)
        let changes = try found(try arguments.operands("RUN")[0], arguments, console)
        let review = try Review(changes, only: arguments.values("only"))
        if console.json {
            try console.write(try review.document())
            return 0
        }
        if changes.list == ChangeList() {
            console.note("run \(changes.run) changed nothing")
            return 0
        }
        if review.chosen.isEmpty {
            console.note("no change of run \(changes.run) matches --only")
            return 0
        }
        var text: Bytes
        if form.isPatch {
            text = try review.patch(console)
            if form.isTerminal { text = ReviewText.neutral(text, ReviewPaint(form.isColored)) }
        } else {
            text = ReviewText(review, ReviewPaint(form.isColored), differences: !form.isStat).bytes()
        }
        if form.isPaged, let pager = Pager.find(outside: changes.workspace), try pager.show(text) { return 0 }
        try console.write(text)
        return 0
    }

    /// What the operand means. The one place that knows.
    private static func found(_ word: Bytes, _ arguments: Arguments, _ console: Console) throws(Failure) -> RunChanges {
        guard let text = word.text else { throw Failure("run.unknown", "there is no run \(word.shown)") }
        let path = try StateLocation.current(option: arguments.value("state-dir"))
        guard let state = try RecordState.open(at: path, console) else {
            throw Failure("run.unknown", "there is no run \(word.shown): no run was ever recorded in \(path.shown)")
        }
        return try state.changes(of: try state.find(text, from: RecordState.currentDirectory()))
    }
}

/// How the caller wants to see it.
struct ReviewForm {
    let isPatch: Bool
    let isStat: Bool
    let isTerminal: Bool
    let isColored: Bool
    let isPaged: Bool

    init(_ arguments: Arguments, _ console: Console) throws(Failure) {
        (isPatch, isStat) = (arguments.flag("patch"), arguments.flag("stat"))
        let forms = [("--patch", isPatch), ("--stat", isStat), ("--json", console.json)].filter(\.1).map(\.0)
        if forms.count > 1 {
            throw Failure("usage.conflict", "\(forms[0]) and \(forms[1]) are two forms of one review: choose one")
        }
        isTerminal = isatty(STDOUT_FILENO) == 1
        switch try arguments.text("color") ?? "auto" {
        case "always": isColored = true
        case "never": isColored = false
        case "auto": isColored = isTerminal && !ReviewForm.isSet("NO_COLOR") && !ReviewForm.isDumb
        case let other:
            throw Failure("usage.value", "--color can't be \(Bytes(other).shown): it is auto, always or never")
        }
        isPaged = isTerminal && !arguments.flag("no-pager") && !ReviewForm.isDumb
    }

    private static func isSet(_ name: String) -> Bool { getenv(name).map { $0.pointee != 0 } ?? false }
    private static var isDumb: Bool { getenv("TERM").map { String(cString: $0) == "dumb" } ?? true }
}
