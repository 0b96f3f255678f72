// Side effects: reads the host; makes nothing. A recorded run as one that is about to begin.

import AegixAudit
import AegixPlan
import AegixPolicy
import AegixSandbox
import AegixSystem
import Glibc

/// Everything that is known before a replay begins, and what it can't have as the run had it.
struct ReplayPreparation {
    let run: RunPreparation
    let differences: [Difference]

    /// - state: the state directory, absolute.
    init(
        _ recorded: RecordedRun, _ options: ReplayOptions, on ground: ReplayGround, state: Bytes,
        variation: ReplayVariation? = nil
    ) throws(Failure) {
        let record = recorded.record
        let isStranger = options.isBundle
        let command = try ReplayCommandLine(recorded)
        var environment = ReplayEnvironment(record, isStranger: isStranger, given: options.environment)
        var rights = ReplayRights(
            record, isStranger: isStranger, options,
            host: .init(hasSecret: ReplayPreparation.hasSecret, isThere: ReplayPreparation.isThere))
        let home = environment.home
        var stack = PolicyStack(workspace: ground.path, home: home)
        // Where the caller's own configuration lies is the caller's word, not the record's.
        stack.configuration = TrustStore.configuration(home: PolicyStack.home)
        let loaded = try stack.loadRecorded(
            try recorded.policy(), named: "policy.toml of \(recorded.id)", isStranger: isStranger
        ) { rights.narrow(&$0) }
        environment.keep(to: loaded.policy.env)
        let facts = try HostSurvey.facts(
            .init(
                workspace: ground.path, source: ground.source, cwd: command.directory ?? ground.path,
                environment: environment.variables, policy: loaded.policy,
                guarded: RunPreparation.guarded(state: state, home: PolicyStack.home, signer: nil),
                needsSealed: loaded.policy.require == .sealed))
        if facts.workspace.path != ground.path {
            throw Failure(
                "replay.impossible",
                "the workspace \(ground.path.shown) leads to \(facts.workspace.path.shown) by now, which the run never saw"
            )
        }
        try ReplayPreparation.check(facts.reads, record)
        var words = try RunOptions(Arguments(), command: .program(command.argv))
        if !isStranger { words.labels = ReplayPreparation.labels(record) }
        run = RunPreparation(
            replaying: recorded.id, words, state: state, loaded: loaded, facts: facts,
            Invocation(command.form), variation?.planned(record) ?? Variation())
        differences = ground.differences + rights.differences + environment.differences
    }

    /// A link that leads elsewhere by now isn't what the policy meant then.
    private static func check(_ reads: [PathFact], _ record: JSON) throws(Failure) {
        let known = Set((record["views"]?.array ?? []).compactMap { $0["path"]?.bytesValue })
        for fact in reads where !known.contains(fact.path) {
            throw Failure(
                "replay.impossible",
                "what the run had in view leads to \(fact.path.shown) by now, which it never saw")
        }
    }

    private static func labels(_ record: JSON) -> [String: String] {
        (record["labels"]?.object ?? [:]).compactMapValues(\.string)
    }

    private static func hasSecret(_ source: Policy.SecretSource) -> Bool {
        switch source.place {
        case .variable(let name): getenv(name) != nil
        case .file(let path): isThere(inHome(path))
        }
    }

    private static func inHome(_ path: Bytes) -> Bytes {
        guard path.starts(with: Bytes("~/")), let home = PolicyStack.home else { return path }
        return Path.join(home, Bytes(path.dropFirst(2)))
    }

    private static func isThere(_ path: Bytes) -> Bool {
        !path.contains(0) && path.withCString { access($0, F_OK) } == 0
    }
}

/// The recorded words.
struct ReplayCommandLine {
    let argv: [Bytes]
    /// Where it began; nil: not known.
    let directory: Bytes?
    let form: Invocation.Form

    init(_ run: RecordedRun) throws(Failure) {
        let record = run.record
        guard let words = record["command"]?["argv"]?.array, !words.isEmpty else {
            throw Failure("replay.impossible", "the record of run \(run.id) doesn't say what it ran")
        }
        if record["cut"]?["command.argv"] != nil {
            throw Failure("replay.impossible", "the command of run \(run.id) was too long to be recorded whole")
        }
        if record["outcome"]?["status"]?.string == "failed" {
            throw Failure("replay.impossible", "nothing of run \(run.id) ever ran, so there is nothing to run again")
        }
        var argv: [Bytes] = []
        for word in words {
            guard let bytes = word.bytesValue, !bytes.contains(0) else {
                throw Failure("replay.impossible", "the record of run \(run.id) holds a word that no command can have")
            }
            argv.append(bytes)
        }
        let secrets = record["policy"]?["effective"]?["secrets"]?.object ?? [:]
        for name in argv.lazy.flatMap(ReplayCommandLine.redacted) where secrets[name] != nil {
            throw Failure(
                "replay.impossible",
                "the command of run \(run.id) held the secret \(Bytes(name).shown), which is recorded nowhere")
        }
        self.argv = argv
        directory = record["invocation"]?["cwd"]?.bytesValue.flatMap {
            Path.isAbsolute($0) && !$0.contains(0) ? $0 : nil
        }
        let script = try run.script()
        if let path = script?.path, !ReplayGround.isPlace(path) {
            throw Failure("replay.impossible", "the script of run \(run.id) is at \(path.shown), where none can be had")
        }
        if let script, let index = argv.firstIndex(of: script.path) {
            form = .script(
                Invocation.Script(path: script.path, content: script.content), arguments: Array(argv[(index + 1)...]))
        } else {
            form = .program(argv)
        }
    }

    /// The names of the secrets that stood in a word.
    private static func redacted(_ word: Bytes) -> [String] {
        let mark = Bytes("[redacted:")
        return word.indices.compactMap { index in
            guard word[index...].starts(with: mark) else { return nil }
            let name = word[(index + mark.count)...].prefix { $0 != UInt8(ascii: "]") }
            return name.endIndex < word.count ? Bytes(name).text : nil
        }
    }
}

/// The recorded environment, as the one that the command's is made from.
struct ReplayEnvironment {
    private(set) var variables: [HostFacts.Variable] = []
    private(set) var differences: [Difference] = []

    init(_ record: JSON, isStranger: Bool, given: [String: Bytes]) {
        for variable in record["environment"]?.array ?? [] {
            guard let name = variable["name"]?.bytesValue, !name.isEmpty, !name.contains(0),
                !name.contains(UInt8(ascii: "="))
            else { continue }
            let origin = variable["origin"]?.string
            if origin == "secret" { continue }
            if let value = variable["value"]?.bytesValue, !value.contains(0) {
                variables.append(.init(name: name, value: value))
            } else if origin == "caller" {
                if !isStranger, let value = ReplayEnvironment.own(name) {
                    variables.append(.init(name: name, value: value))
                } else if !given.keys.contains(where: { name.elementsEqual($0.utf8) }) {
                    differences.append(
                        Difference(
                            .environment, name, before: Bytes("the caller's, value not recorded"),
                            note: "isn't set; --env \(name.shown)=VALUE gives it"))
                }
            }
        }
    }

    private static func own(_ name: Bytes) -> Bytes? {
        name.withCString { getenv($0) }.map { Bytes(cString: $0) }
    }

    var home: Bytes? {
        let name = Bytes("HOME")
        return variables.first { $0.name == name }?.value
    }

    /// What the policy or an option sets isn't passed on besides.
    mutating func keep(to policy: Policy.Environment) {
        let set = Set(policy.set.keys.map { Bytes($0) })
        variables.removeAll { set.contains($0.name) }
    }
}
