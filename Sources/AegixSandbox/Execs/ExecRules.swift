// Side effects: looks at files. What the rules say of one exec: asked by the run before each, and by who wants to know beforehand.

import AegixPolicy
import AegixSystem

/// The files of a view, the programs that rules name, and the one decision over both (Policy.Commands.judge).
struct ExecRules {
    let rules: Policy.Commands
    let files: ExecFiles
    let known: KnownPrograms

    struct Judged {
        var picture: ExecPicture
        var decision: CommandDecision
        /// nil: the default, or a reason that no rule has a say in.
        var rule: CommandRule?
        /// Why it is denied whatever the rules say.
        var reason: String?
    }

    func judge(
        _ path: Bytes, directory: String, name: Bytes, argv: [Bytes], of pid: Int32
    ) throws(ExecFault) -> Judged {
        let file = try files.find(path, directory: directory, of: pid)
        let chain = try ExecChain.follow(file, name: name, argv: argv, files: files, of: pid)
        let picture = try ExecPicture(chain, known: known)
        let verdict = rules.judge(picture.subjects(known))
        var judged = Judged(picture: picture, decision: verdict.decision, rule: verdict.rule)
        if verdict.decision != .deny, picture.isLoaderByHand(known), verdict.rule?.decision != .allow {
            judged.decision = .deny
            judged.reason = "the loader called by hand starts a program that no exec shows"
        }
        return judged
    }
}
