// Side effects: changes a workspace, writes to the console.

import AegixAudit
import AegixPolicy
import AegixSystem
import AegixWorkspace

/// `aegix apply RUN`.
///
/// Words ─► the run ─► which of its changes ─► StateDirectory.apply, which does all of it or nothing ─► told path by path.
public enum ApplyCommand: Command {
    public static let name = "apply"
    public static let summary = "put the changes of a run into its workspace"
    public static let usage = [
        "apply RUN [--only GLOB]… [--include-protected] [--commit MESSAGE] [--state-dir DIR] [--json]"
    ]
    public static let details = """
        RUN is a run id, a unique prefix of one, or `last`. All of its changes are applied, or none: where the workspace \
        isn't what the run saw any more, the paths are named, nothing is changed, and the exit code is 1. Killed at any \
        moment, the next aegix command puts the workspace back, or finishes. What was there before is kept, and \
        `aegix reset RUN` brings it back.

        FIFOs, sockets, devices and setuid bits are never applied. What the policy protects is left out and named. Doing \
        it again does nothing and says so.

        With --commit the workspace has to be the top of a git work tree, and what is applied becomes a commit on its \
        branch, with the run's id as a trailer. Nothing else is in it: what is staged stays staged, and a path that had \
        uncommitted changes before the run is refused before anything is applied. No git is run, so neither hooks nor \
        filters are, and nothing is signed.
        """
    public static let options = [
        Option(
            "only", "GLOB", repeatable: true,
            help:
                "Apply only what the pattern names, and what lies beneath it: as in the policy's [files], from the top of the workspace. `*` stays in one directory, `**/` is any. May be given more than once. Default: everything."
        ),
        Option("include-protected", help: "Apply also what the policy protects. Default: it is left out and named."),
        Option(
            "commit", "MESSAGE",
            help:
                "Make a commit of what is applied, in the name of GIT_AUTHOR_NAME and its like, or of your git configuration. Default: it is only applied."
        ),
        Option.recordState,
    ]

    public static func run(_ arguments: Arguments, _ console: Console) throws(Failure) -> Int32 {
        let (state, id) = try RecordState.run(arguments, console)
        var request = ApplyRequest()
        request.includesProtected = arguments.flag("include-protected")
        let patterns = try arguments.values("only").map { text throws(Failure) in try pattern(text) }
        if !patterns.isEmpty { request.isAsked = { path in patterns.contains { covers($0, path) } } }
        if let message = arguments.value("commit") { request.commit = try CommitOptions.request(message) }
        let report = try state.apply(id, request)
        if console.json {
            try console.document(report.json("aegix.apply/v1"))
        } else {
            try report.tell(console)
        }
        return report.status == .conflict ? 1 : 0
    }

    private static func pattern(_ text: Bytes) throws(Failure) -> PathPattern {
        let pattern: PathPattern
        do throws(PathPattern.Defect) {
            pattern = try PathPattern(text)
        } catch {
            throw Failure("usage.value", "--only \(text.shown) \(error.reason)")
        }
        if pattern.anchor == .workspace { return pattern }
        throw Failure("usage.value", "--only \(text.shown) isn't a path from the top of the workspace")
    }

    /// The path itself, or a directory that it lies in.
    private static func covers(_ pattern: PathPattern, _ path: Bytes) -> Bool {
        if pattern.components.isEmpty { return true }
        var at = path
        while !at.isEmpty {
            if pattern.matches(at) { return true }
            at = Path.relativeParent(at)
        }
        return false
    }
}

extension RecordState {
    /// The state directory and the run that the only operand names.
    static func run(_ arguments: Arguments, _ console: Console) throws(Failure) -> (StateDirectory, RunID) {
        let word = try arguments.operands("RUN")[0]
        guard let text = word.text else { throw Failure("run.unknown", "there is no run \(word.shown)") }
        let path = try StateLocation.current(option: arguments.value("state-dir"))
        guard let state = try RecordState.open(at: path, console) else {
            throw Failure("run.unknown", "there is no run \(word.shown): no run was ever recorded in \(path.shown)")
        }
        return (state, try state.find(text, from: RecordState.currentDirectory()))
    }
}
