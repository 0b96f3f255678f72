// Side effects: reads the host, the policy files and, of allowed names, the host's name servers; writes to the console.

import AegixNetwork
import AegixPlan
import AegixPolicy
import AegixSandbox
import AegixSystem

/// `aegix policy explain`: what a run would say to a command, a connection, a path. Stages: the plan that the run would have, then
/// each question to whoever decides it there (ExecRules, NetworkDecision, the plan's own view).
enum PolicyExplain {
    static let usage =
        "policy explain [--cmd STRING] [--connect HOST:PORT] [--read PATH] [--write PATH] [OPTION…] [-- PROGRAM [ARG…]]"
    static let details = """
        `explain` says what a run under the policy would do, without running anything: to a command line, a connection, the \
        reading or writing of a path; each can be asked several times. Told are the decision, the rule with its place, what it \
        was about and the smallest change that would allow it. A name that the policy lets through is looked up. It exits with 0 when \
        all is allowed, with 1 when something is denied, would be asked about or can't be told, and with 125 when the policy or \
        the question is wrong. What a program does once it runs isn't foreseen.
        """
    static let options: [Option] = {
        let shared = ["policy", "workspace", "allow-host", "env", "pass-env", "require", "state-dir"]
        return [
            Option(
                "cmd", "STRING", repeatable: true,
                help:
                    "Ask explain whether `sh -c STRING` would be let run, and the one command in it. Can be given more than once."
            ),
            Option(
                "connect", "HOST:PORT", repeatable: true,
                help: """
                    Ask explain whether a connection to HOST, a name or an address, on PORT would be let through. Can be given \
                    more than once.
                    """),
            Option(
                "read", "PATH", repeatable: true, completes: .file,
                help: "Ask explain whether PATH would be in view. Can be given more than once."),
            Option(
                "write", "PATH", repeatable: true, completes: .file,
                help: "Ask explain whether PATH could be written. Can be given more than once."),
        ] + RunOptions.table.filter { shared.contains($0.name) }
    }()

    static func run(_ arguments: Arguments, _ console: Console) throws(Failure) -> Int32 {
        var questions: [Question] = arguments.values("cmd").map { .command(.shell($0), $0) }
        if arguments.restOwner == "--", !arguments.rest.isEmpty {
            questions.append(
                .command(.program(arguments.rest), Bytes(arguments.rest.joined(separator: [UInt8(ascii: " ")]))))
        }
        for word in arguments.values("connect") { questions.append(try .connect(word)) }
        for option in ["read", "write"] {
            for path in arguments.values(option) {
                if path.isEmpty || path.contains(0) { throw Failure("usage.value", "--\(option) isn't a path") }
                questions.append(.path(path, writes: option == "write"))
            }
        }
        if questions.isEmpty {
            throw Failure(
                "usage.missing",
                "nothing is asked: one of --cmd STRING, --connect HOST:PORT, --read PATH, --write PATH, -- PROGRAM")
        }
        let foresight = try Foresight(arguments)
        console.redactor = foresight.preparation.redactor
        var all: [Judgement] = []
        for question in questions { all.append(try foresight.judge(question)) }
        if console.json {
            let document: JSON = [
                "schema": "aegix.policy-explain/v1", "tier": .string(foresight.plan.tier.name),
                "policy": .string(foresight.preparation.loaded.policy.name),
                "allowed": .bool(all.allSatisfy { $0.decision == .allow }),
                "judgements": .array(all.map(\.json)),
            ]
            try console.document(document.redacted(by: foresight.preparation.redactor))
        } else {
            let text = all.map { $0.lines.map { Bytes($0).shown }.joined(separator: "\n") }.joined(separator: "\n\n")
            let bytes = Bytes(text + "\n")
            try console.write(foresight.preparation.redactor?.redact(bytes) ?? bytes)
        }
        return all.allSatisfy { $0.decision == .allow } ? 0 : 1
    }
}

/// What is asked.
enum Question {
    case command(Invocation.Form, Bytes)
    case connect(NetworkForecast.Host, UInt16, Bytes)
    case path(Bytes, writes: Bool)

    static func connect(_ word: Bytes) throws(Failure) -> Question {
        func refuse(_ why: String) -> Failure { Failure("usage.value", "--connect: \(word.shown) \(why)") }
        guard let text = word.text else { throw refuse("isn't valid UTF-8") }
        let pattern: HostPattern
        do throws(HostPattern.Defect) { pattern = try HostPattern(text) } catch { throw refuse(error.reason) }
        guard let port = pattern.port else { throw refuse("names no port: HOST:PORT") }
        switch pattern.host {
        case .name(let name): return .connect(.name(name), port, word)
        case .range(let range) where range.prefix == range.address.bits:
            return .connect(.address(range.address), port, word)
        case .range, .suffix: throw refuse("stands for many; name one")
        }
    }
}

/// What a run would say.
struct Judgement {
    enum Decision: String {
        case allow, approve, deny
        /// Not surely anything.
        case unknown

        init(_ decision: CommandDecision) {
            switch decision {
            case .allow: self = .allow
            case .approve: self = .approve
            case .deny: self = .deny
            }
        }
    }

    /// `cmd`, `connect`, `read`, `write`
    var question: String
    var asked: Bytes
    var decision: Decision
    var explanation: Explanation
    var programs: [ExecForecast.Step] = []
    var addresses: [String] = []
    var notes: [String] = []

    var lines: [String] {
        var lines = ["\(decision.rawValue)  \(question) \(asked.shown)"]
        lines += explanation.paragraph.map { "  " + $0 }
        for note in notes { lines.append("    note      " + note) }
        return lines
    }

    var json: JSON {
        guard case .object(var all) = explanation.json else { return .null }
        all["count"] = nil
        all["question"] = .string(question)
        all["asked"] = .bytes(asked)
        all["decision"] = .string(decision.rawValue)
        all["notes"] = .array(notes.map { .string($0) })
        all["addresses"] = .array(addresses.map { .string($0) })
        all["programs"] = .array(
            programs.map { step in
                [
                    "argv": .array(step.argv.map(JSON.bytes)), "program": step.program.map(JSON.bytes) ?? .null,
                    "interpreters": .array(step.interpreters.map(JSON.bytes)),
                    "decision": .string(step.decision.rawValue),
                    "rule": step.rule.map { .string($0.text) } ?? step.reason.map { .string($0) } ?? .null,
                ]
            })
        return .object(all)
    }
}
