// Pure. Each flag in a sentence, for whoever has to decide.

import AegixSystem

extension Change.Flag {
    /// Ends a sentence that begins with a path.
    public func sentence(for change: Change) -> String {
        switch self {
        case .denied: "`files.deny` names it, so it is never applied"
        case .protected:
            isGit(change)
                ? "git on the host obeys what lies here"
                : "the policy or git's configuration names it, or what is in it"
        case .secret: "a secret of the run is in it, and would lie in the workspace"
        case .executes: reason(change)
        case .setuid: "it has a setuid or setgid bit, which is never applied"
        case .special: "it is a \(change.after?.kind.rawValue ?? "special file"), which is never applied"
        case .raced: "the workspace's own file changed while the run went on"
        case .unlinked: "it has other names in the workspace, which keep the old content"
        case .linked: "it has other names, in the workspace or outside, and they change with it"
        case .undigested: "it is too large, or closed, and was not read"
        case .deeper: "what lies deeper in it isn't listed"
        }
    }

    private func isGit(_ change: Change) -> Bool {
        [change.path, change.from, change.linkOf].compactMap { $0 }.contains { path in
            FoldedName.components(path).contains { $0 == GitNames.directory || $0 == GitNames.modules }
        }
    }

    private func reason(_ change: Change) -> String {
        for path in [change.path, change.linkOf].compactMap({ $0 }) {
            let names = FoldedName.components(path)
            if let rule = HostNames.find(names, isLink: change.after?.kind == .symlink) { return rule.reason }
            if names.contains(GitNames.directory) { return "git carries on from here, `exec` lines included" }
        }
        if let before = change.before, let after = change.after, before.mode & 0o111 == 0, after.mode & 0o111 != 0 {
            return "it became executable"
        }
        return "something of the host runs it, or what is in it, without being asked"
    }
}

/// How many of what, for one line.
public struct ChangeSummary: Equatable, Sendable {
    public private(set) var kinds: [Change.Kind: Int] = [:]
    public private(set) var flags: [Change.Flag: Int] = [:]
    public private(set) var total = 0
    /// All that isn't a directory's own.
    public private(set) var files = 0

    public init(_ changes: [Change]) {
        for change in changes {
            total += 1
            kinds[change.kind, default: 0] += 1
            for flag in change.flags { flags[flag, default: 0] += 1 }
            if (change.after ?? change.before)?.kind != .directory { files += 1 }
        }
    }

    /// `3 files changed, 1 protected`. Directories count where nothing else changed.
    public var line: String {
        let what = files > 0 ? ChangeSummary.count(files, "file") : ChangeSummary.count(total, "path")
        let warned = [Change.Flag.denied, .protected, .secret, .executes, .setuid, .special].compactMap { flag in
            flags[flag].map { "\($0) \(ChangeSummary.words[flag] ?? flag.rawValue)" }
        }
        return (["\(what) changed"] + warned).joined(separator: ", ")
    }

    private static let words: [Change.Flag: String] = [.executes: "run by the host", .secret: "with a secret"]

    private static func count(_ number: Int, _ noun: String) -> String { "\(number) \(noun)\(number == 1 ? "" : "s")" }
}
