// Side effects: reads processes that wait in a notification, answers them, and holds them until what they exec was loaded.

import AegixPlan
import AegixPolicy
import AegixSystem
import CAegix
import Glibc

/// Judges each exec of a sandbox by the command rules.
///
/// Stages of one exec: what would be loaded (ExecChain), by which names the rules know it (KnownPrograms), the decision
/// (Policy.Commands.judge, and nowhere else), the answer. A denied one is answered EACCES. What is let go on could be changed
/// by its caller's other threads before the kernel reads it, so the caller is held (ExecHold) and what was loaded is compared
/// before its first instruction; anything else than what was judged is killed (rule 8).
final class ExecJudge {
    enum Answer {
        case nothing
        case allowed(ExecEvent)
        case denied(ExecEvent, Violation)
        case ask(ExecQuestion)
    }

    private let listener: Int32
    private let execveat: Int32
    private let rules: ExecRules
    private var files: ExecFiles { rules.files }
    private var known: KnownPrograms { rules.known }
    private let hold = ExecHold()
    private let follower = ExecFollower()
    private let image: ImagePin?
    private struct Expected {
        var picture: ExecPicture
        var event: ExecEvent
        /// Of the script that its caller was started for, by way of env or the like.
        var carried: ExecFollower.Script?
    }
    private var expected: [pid_t: Expected] = [:]
    /// Behind another held thread of their group.
    private var waiting: [aegix_notice] = []
    /// What was approved for the whole run.
    private var approved: [ExecQuestion.Key] = []
    /// The last no. A search along PATH takes EACCES for a reason to try the next place, and that isn't another question.
    private var refused: (pid: pid_t, key: ExecQuestion.Key)?

    /// The kernel takes no more: 6 MiB of words.
    private static let mostWords = 1 << 20
    private static let mostBytes = 8 << 20
    private static let mostApproved = 1000

    /// - listener, root: stay the caller's.
    init(_ plan: Plan, listener: Int32, root: Int32, cache: CacheDirectory, image: ImagePin? = nil) {
        self.image = image
        self.listener = listener
        execveat = SyscallFilter.number(of: "execveat")
        let files = ExecFiles(root: root, writable: plan.confined == nil ? nil : plan.landlock.writable)
        rules = ExecRules(
            rules: plan.commands, files: files,
            known: KnownPrograms(plan.commands.rules, plan: plan, files: files, cache: cache))
    }

    // MARK: - An exec

    /// The command's own: nothing of the sandbox runs yet, so there is nobody to race.
    func command(_ notice: aegix_notice, candidate: Bytes, argv: [Bytes]) -> Answer {
        judge(notice, candidate, directory: "cwd", name: candidate, argv: argv, isCommand: true)
    }

    func exec(_ notice: aegix_notice) -> Answer {
        let pid = pid_t(bitPattern: notice.pid)
        let arguments = [notice.arguments.0, notice.arguments.1, notice.arguments.2, notice.arguments.3]
        let shift = notice.call == execveat ? 1 : 0
        if let other = hold.other(inGroupOf: pid) {
            // Judged again, from the beginning, when the other is gone or has failed.
            waiting.append(notice)
            hold.letGo(other)
            return .nothing
        }
        var memory = RemoteMemory(pid)
        let path = memory.string(arguments[shift], limit: 4096)
        let (argv, cut) = memory.strings(arguments[shift + 1], most: ExecJudge.mostWords, bytes: ExecJudge.mostBytes)
        // A caller killed meanwhile may have left its number to another: what was read is then not its own.
        if aegix_notice_valid(listener, notice.id) == 0 { return .nothing }
        guard let path, !cut else {
            return deny(notice, event(pid, path ?? [], argv), "words that can't be read")
        }
        var (directory, name) = ("cwd", path)
        if shift == 1, !Path.isAbsolute(path) {
            let number = Int32(truncatingIfNeeded: arguments[0])
            if number != AT_FDCWD {
                directory = "fd/\(number)"
                name = Bytes("/dev/fd/\(number)") + (path.isEmpty ? [] : [Path.slash] + path)
            }
        }
        if path.isEmpty, directory == "cwd" {
            _ = aegix_notice_refuse(listener, notice.id, ENOENT)
            return .nothing
        }
        return judge(notice, path, directory: directory, name: name, argv: argv, isCommand: false)
    }

    private func judge(
        _ notice: aegix_notice, _ path: Bytes, directory: String, name: Bytes, argv: [Bytes], isCommand: Bool
    ) -> Answer {
        let pid = pid_t(bitPattern: notice.pid)
        let judged: ExecRules.Judged
        do throws(ExecFault) {
            judged = try rules.judge(path, directory: directory, name: name, argv: argv, of: pid)
        } catch {
            switch error {
            case .answer(let code):
                _ = aegix_notice_refuse(listener, notice.id, code)
                return .nothing
            case .unknown(let reason): return deny(notice, event(pid, path, argv), reason)
            }
        }
        let picture = judged.picture
        var event = event(pid, picture.chain.links[0].file.path, argv)
        event.decision = judged.decision
        event.rule = judged.rule?.text ?? (judged.decision == .deny ? "commands.default" : nil)
        switch judged.decision {
        case .deny:
            if judged.reason == nil, judged.rule != nil {
                for link in picture.chain.links.prefix(1) { known.learn(link.file) }
            }
            return deny(notice, event, judged.reason)
        case .allow, .approve:
            if judged.decision == .approve {
                var question = ExecQuestion(
                    notice: notice, picture: picture, event: event, rule: judged.rule,
                    cwd: isCommand ? nil : ProcessFacts.link(pid, "cwd"), isCommand: isCommand)
                question.digests = known.digests(picture.chain.links.map(\.file))
                if let refused, refused.pid == pid, refused.key.isSame(as: question.key) {
                    return deny(notice, event, nil)
                }
                guard approved.contains(where: { $0.isSame(as: question.key) }) else { return .ask(question) }
                event.approval = Approval(
                    via: "run", by: nil, answer: .remembered, message: nil, askedAt: event.time, duration: 0,
                    cwd: question.cwd)
            }
            return isCommand && image == nil ? goOn(notice, event) : goOn(notice, event, held: picture)
        }
    }

    /// What was answered, once the sandbox goes on again.
    func answer(_ question: ExecQuestion, _ approval: Approval) -> Answer {
        var event = question.event
        event.approval = approval
        if approval.answer == .deny {
            refused = (event.pid, question.key)
            return deny(question.notice, event, nil)
        }
        if approval.answer == .run, approved.count < ExecJudge.mostApproved { approved.append(question.key) }
        return question.isCommand && image == nil
            ? goOn(question.notice, event) : goOn(question.notice, event, held: question.picture)
    }

    private func deny(_ notice: aegix_notice, _ event: ExecEvent, _ reason: String?) -> Answer {
        var event = event
        event.decision = .deny
        if let reason { event.rule = "commands: \(reason)" }
        _ = aegix_notice_refuse(listener, notice.id, EACCES)
        return .denied(event, violation(event, EACCES))
    }

    private func goOn(_ notice: aegix_notice, _ event: ExecEvent) -> Answer {
        if aegix_notice_continue(listener, notice.id) < 0 { return .nothing }
        return .allowed(event)
    }

    private func goOn(_ notice: aegix_notice, _ event: ExecEvent, held picture: ExecPicture) -> Answer {
        let pid = pid_t(bitPattern: notice.pid)
        do throws(SystemError) {
            try hold.take(pid)
        } catch {
            if aegix_notice_valid(listener, notice.id) == 0 { return .nothing }
            return deny(notice, event, "the caller can't be held: \(error.reason)")
        }
        // Now the number can't go to another any more; was it still the caller's?
        if aegix_notice_valid(listener, notice.id) == 0 {
            hold.letGo(pid)
            return .nothing
        }
        let carried = follower.script(of: pid).flatMap { script in
            picture.chain.image?.argv.dropFirst().contains(script.word) == true ? script : nil
        }
        expected[pid] = Expected(picture: picture, event: event, carried: carried)
        if aegix_notice_continue(listener, notice.id) < 0 {
            hold.letGo(pid)
            return .nothing
        }
        return .allowed(event)
    }

    private func event(_ pid: pid_t, _ program: Bytes, _ argv: [Bytes]) -> ExecEvent {
        var kept: [Bytes] = []
        var room = ExecWatch.mostBytes
        for word in argv.prefix(ExecWatch.mostArguments) where room > 0 {
            kept.append(Bytes(word.prefix(room)))
            room -= word.count + 1
        }
        return ExecEvent(
            time: Clock.realtime(), pid: pid, parent: ProcessFacts.parent(pid), program: program, argv: kept,
            argvCut: kept.count < argv.count || room < -1)
    }

    private func violation(_ event: ExecEvent, _ errno: Int32) -> Violation {
        Violation(
            control: "commands", rule: event.rule ?? "commands.default", errno: errno, count: 1, firstTime: event.time,
            firstPid: event.pid)
    }

    // MARK: - What was loaded

    /// After a SIGCHLD. Each with what it shows; most show nothing.
    func collect() -> [Answer] {
        var answers: [Answer] = []
        while let stop = hold.next(isFollowed: follower.isFollowed) {
            switch stop {
            case .exec(let pid, let former):
                if let answer = loaded(pid, former) { answers.append(answer) }
            case .call(let thread):
                switch follower.look(thread) {
                case .goOn: hold.step(thread)
                case .done: hold.release(thread)
                case .another: answers.append(stopped(thread, "a script was changed after it was judged"))
                }
            }
        }
        if hold.isEmpty {
            expected.removeAll()
            follower.endAll()
        }
        let again = waiting
        waiting = []
        for notice in again where aegix_notice_valid(listener, notice.id) != 0 { answers.append(exec(notice)) }
        return answers
    }

    private func loaded(_ pid: pid_t, _ former: pid_t) -> Answer? {
        follower.end(former)
        follower.end(pid)
        guard let expected = expected.removeValue(forKey: former) else {
            return stopped(pid, "an exec that wasn't judged")
        }
        if let fault = difference(pid, expected.picture) {
            return stopped(pid, "\(fault) was changed after it was judged", expected.event)
        }
        if let image, !image.apply(to: pid) {
            return stopped(pid, "a program that can't be changed at its start (determinism)", expected.event)
        }
        if let script = expected.picture.script ?? expected.carried {
            follower.begin(pid, script)
            hold.step(pid)
        } else {
            hold.release(pid)
        }
        return nil
    }

    /// What isn't as it was judged. All other threads of the process are gone, so nothing can change back and forth.
    private func difference(_ pid: pid_t, _ picture: ExecPicture) -> String? {
        guard let image = picture.chain.image else { return "the program" }
        var found = ExecFile.Identity(device: 0, inode: 0)
        if aegix_hold_image(pid, &found.device, &found.inode) < 0 || found != image.file.identity {
            return "the program"
        }
        let words = image.argv.joined(separator: [0]) + [0]
        do {
            let given = try Descriptor.open(Bytes("/proc/\(pid)/cmdline"), O_RDONLY).readAll(limit: words.count + 1)
            if given != Bytes(words) { return "argv" }
        } catch {
            return "argv"
        }
        for (link, originals) in zip(picture.chain.links, picture.originals) {
            if link.file.identity == image.file.identity {
                // By the process itself, which keeps it from being written: its name may have changed, its content before.
                if link.file.isWritable, known.isCopy(ofOtherThan: originals, Bytes("/proc/\(pid)/exe")) {
                    return "the program"
                }
                continue
            }
            // As the interpreter will find it.
            guard let named = files.find(link.file.named), named.identity == link.file.identity else {
                return "a script"
            }
            do throws(ExecFault) {
                if try known.originals(named).map(\.named) != originals { return "a script" }
            } catch {
                return "a script"
            }
        }
        return nil
    }

    /// Killed before its first instruction.
    private func stopped(_ pid: pid_t, _ reason: String, _ judged: ExecEvent? = nil) -> Answer {
        follower.end(pid)
        hold.kill(pid)
        var event = judged ?? event(pid, ProcessFacts.link(pid, "exe") ?? [], [])
        event.time = Clock.realtime()
        event.decision = .deny
        event.rule = "commands: \(reason)"
        return .denied(event, violation(event, 0))
    }
}

/// An exec that a person or a program is asked about. Its caller waits.
struct ExecQuestion {
    var notice: aegix_notice
    var picture: ExecPicture
    var event: ExecEvent
    var rule: CommandRule?
    var cwd: Bytes?
    var isCommand: Bool
    /// Of the files that the sandbox can write; nil: one couldn't be digested.
    var digests: [String]?

    /// What "for this run" stands for: the very files of the chain, what is in those that could change, and every word.
    struct Key {
        var files: [ExecFile.Identity]
        var digests: [String]?
        var argv: [[Bytes]]

        func isSame(as other: Key) -> Bool {
            files == other.files && argv == other.argv && digests != nil && digests == other.digests
        }
    }

    var key: Key {
        Key(files: picture.chain.links.map(\.file.identity), digests: digests, argv: picture.chain.links.map(\.argv))
    }
}
