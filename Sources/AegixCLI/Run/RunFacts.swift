// Pure but for the clock. The record's first half.

import AegixAudit
import AegixPlan
import AegixPolicy
import AegixSandbox
import AegixSystem

extension RunPreparation {
    /// - plan: nil when it was refused; what it would have said stays unknown.
    func start(id: RunID, plan: Plan?, named: NamedSandbox? = nil) -> RunStart {
        var start = RunStart(
            id: id, startedAt: Clock.realtime(), aegix: .init(version: Version.number, build: Version.build),
            invocation: .init(
                argv: RunPreparation.argv(), cwd: facts.cwd,
                how: replays == nil ? invocation.form.name : RunStart.Invocation.replay),
            command: .init(argv: plan?.command.argv ?? []))
        start.command.script = script
        start.parent = replays?.description ?? options.parent
        start.isReplay = replays != nil
        start.labels = options.labels
        start.durable = loaded.policy.audit.durable
        start.signer = signer
        start.redactor = redactor
        let policy = recordedPolicy
        let effective = policy.toml
        start.policy = .init(
            name: policy.name,
            sources: loaded.sources.map {
                .init(name: redactor?.redact(Bytes($0.name)) ?? Bytes($0.name), digest: $0.digest)
            },
            effective: policy.canonical, digest: SHA256.hex(effective), toml: effective)
        start.policy?.origins = loaded.origins
        start.host = host
        start.views =
            plan == nil
            ? []
            : facts.reads.map { .init($0.path, isWritable: false) }
                + facts.writes.map { .init($0.path, isWritable: true) }
        start.identity = plan.map { plan in
            .init(
                insideUID: plan.identity.insideUID, insideGID: plan.identity.insideGID,
                outsideUID: plan.identity.outsideUID, outsideGID: plan.identity.outsideGID)
        }
        start.environment = (plan?.environment ?? []).map { variable in
            let origin: RunStart.Variable.Origin =
                switch variable.source {
                case .base: .builtIn
                case .passed: .caller
                case .set: isOption(variable.name) ? .option : .policy
                case .secret: .secret
                }
            return .init(name: variable.name, value: variable.value, origin: origin)
        }
        start.determinism = (plan?.determinism.pins ?? []).map {
            .init($0.name, value: $0.value, isPinned: $0.isPinned, mechanism: $0.mechanism)
        }
        let mode = loaded.policy.workspace.mode
        start.workspace = .init(
            path: facts.workspace.path, mode: mode.rawValue, layer: plan?.layerStyle,
            sandbox: named.map { ($0.name, $0.path) })
        return start
    }

    /// One that lies in a view is an input like any other.
    private var script: RunStart.Script? {
        guard case .script(let script, _) = invocation.form else { return nil }
        let views = ([facts.workspace] + facts.reads + facts.writes).map(\.path) + BaseView.rootPaths
        if views.contains(where: { Path.contains($0, script.path) }) { return nil }
        let isPlain = redactor.map { $0.redact(script.content) == script.content } ?? true
        return .init(path: script.path, content: script.content, kept: isPlain)
    }

    /// What of it a difference between two runs may come from.
    private var host: Bytes {
        var host = JSONWriter(capacity: 256)
        host.object { json in
            json.key("cpu")
            json.optional(HostSurvey.processor) { $0.string($1) }
            json.key("distribution")
            json.optional(HostSurvey.distribution) { $0.string($1) }
            json.key("kernel")
            json.string(facts.kernel)
            json.key("landlock_abi")
            json.int(facts.landlockABI)
            json.key("processors")
            json.int(facts.processors)
            json.key("uid")
            json.int(Int(facts.uid))
        }
        return host.bytes
    }

    private func isOption(_ name: Bytes) -> Bool { options.environment.contains { name.elementsEqual($0.name.utf8) } }

    /// The policy in force, but for the values of `--env`, any of which may be a credential, and for secrets that it quotes.
    private var recordedPolicy: Policy {
        var policy = loaded.policy
        for variable in options.environment where policy.env.set[variable.name] == variable.value {
            policy.env.set[variable.name] = RunPreparation.notRecorded
        }
        return redactor.map(policy.redacted) ?? policy
    }

    /// Stands where a value would.
    static let notRecorded = Bytes("[not recorded]")

    /// As the caller gave them, but for the values of `--env`: any may be a credential.
    private static func argv() -> [Bytes] {
        var words: [Bytes] = []
        for index in 0..<Int(CommandLine.argc) {
            guard let word = CommandLine.unsafeArgv[index] else { break }
            words.append(Bytes(cString: word))
        }
        return redacted(words)
    }

    static func redacted(_ words: [Bytes]) -> [Bytes] {
        let equals = UInt8(ascii: "=")
        func withoutValue(_ word: Bytes, from start: Int) -> Bytes {
            guard let split = word[start...].firstIndex(of: equals) else { return word }
            return word[...split] + notRecorded
        }
        var out: [Bytes] = []
        var isValue = false
        var isOurs = true
        for word in words {
            if isValue {
                out.append(withoutValue(word, from: 0))
                isValue = false
            } else if isOurs, word.starts(with: Bytes("--env=")) {
                out.append(withoutValue(word, from: 6))
            } else {
                out.append(word)
                isValue = isOurs && word == Bytes("--env")
                if word == Bytes("--") { isOurs = false }
            }
        }
        return out
    }
}
