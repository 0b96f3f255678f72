// Pure. The options of run and plan: their table, and the words of one call as typed values.

import AegixAudit
import AegixPolicy
import AegixSystem

/// What the caller asked for. Nothing here has been looked up on the host, and no policy has had its word.
public struct RunOptions: Equatable, Sendable {
    public var command: Request
    public var policy: Bytes?
    public var workspace: Bytes?
    public var timeout: PolicyOverrides.Limit?
    public var memory: PolicyOverrides.Limit?
    public var cpus: PolicyOverrides.Limit?
    public var pids: PolicyOverrides.Limit?
    /// In the order given; of equal names the last counts.
    public var environment: [Variable]
    public var passEnvironment: [String]
    public var secrets: [PolicyOverrides.NamedSecret]
    public var rawOutput: Bool
    public var read: [Bytes]
    public var write: [Bytes]
    /// Patterns of the workspace, in a policy's words.
    public var artifacts: [String]
    public var allowHosts: [HostPattern]
    public var require: Tier?
    public var record: Bytes?
    /// A directory for copies of the artifacts.
    public var out: Bytes?
    /// A sandbox that lives on; nil: what $AEGIX_NAME and the policy say.
    public var name: String?
    /// Seconds to wait for another run in it.
    public var wait: Int
    public var labels: [String: String]
    public var parent: String?
    public var stateDirectory: Bytes?
    public var json: Bool
    public var quiet: Bool
    public var failsOnViolation: Bool
    /// What the command reads from stdin is kept.
    public var recordsStdin: Bool

    /// What is to be run, in the form it was asked for.
    public enum Request: Equatable, Sendable {
        case shell(Bytes)
        case script(file: Bytes, arguments: [Bytes])
        case python(code: Bytes, arguments: [Bytes])
        /// Never empty.
        case program([Bytes])
    }

    public struct Variable: Equatable, Sendable {
        public var name: String
        public var value: Bytes
    }

    /// All errors of the words themselves; what they name is looked up later.
    /// - command: of a call that asks and runs nothing, whose paths are what is asked about.
    public init(_ arguments: Arguments, command asking: Request? = nil) throws(Failure) {
        if let asking { command = asking } else { command = try RunOptions.request(arguments) }
        policy = try RunOptions.named("policy", arguments)
        workspace = try RunOptions.named("workspace", arguments)
        // The policy's own parsers, so that a duration or a name means the same in both places.
        timeout = try arguments.text("timeout").map { text throws(Failure) in try PolicyOverrides.timeout(text) }
        memory = try arguments.text("memory").map { text throws(Failure) in try PolicyOverrides.memory(text) }
        cpus = try arguments.text("cpus").map { text throws(Failure) in try PolicyOverrides.cpus(text) }
        pids = try arguments.text("pids").map { text throws(Failure) in try PolicyOverrides.pids(text) }
        environment = []
        for word in arguments.values("env") {
            environment.append(try RunOptions.variable(word))
        }
        passEnvironment = []
        for word in arguments.values("pass-env") { passEnvironment.append(try PolicyOverrides.passedName(word)) }
        secrets = try RunOptions.secrets(arguments)
        rawOutput = arguments.flag("raw-stdout")
        read = asking == nil ? try RunOptions.paths("read", arguments) : []
        write = asking == nil ? try RunOptions.paths("write", arguments) : []
        artifacts = []
        for word in arguments.values("artifact") { artifacts.append(try PolicyOverrides.artifact(word)) }
        allowHosts = []
        for word in arguments.values("allow-host") { allowHosts.append(try PolicyOverrides.host(word)) }
        require = try RunOptions.tier(arguments)
        record = try RunOptions.named("record", arguments)
        out = try RunOptions.named("out", arguments)
        name = try arguments.text("name").map { text throws(Failure) in try RunOptions.sandbox(text, from: "--name") }
        wait = try RunOptions.wait(arguments)
        labels = try RunOptions.labels(arguments)
        parent = try RunOptions.named("parent", arguments) == nil ? nil : arguments.text("parent")
        stateDirectory = try RunOptions.named("state-dir", arguments)
        json = arguments.flag("json")
        quiet = arguments.flag("quiet")
        failsOnViolation = arguments.flag("fail-on-violation")
        recordsStdin = arguments.flag("record-stdin")
    }

    /// What of these options is the policy's business; relative paths are the caller's.
    public func overrides(cwd: Bytes) -> PolicyOverrides {
        var overrides = PolicyOverrides()
        overrides.require = require
        overrides.timeout = timeout
        overrides.memory = memory
        overrides.cpus = cpus
        overrides.pids = pids
        overrides.setEnvironment = environment.map { ($0.name, $0.value) }
        overrides.passEnvironment = passEnvironment
        overrides.secrets = secrets.map { secret in
            guard case .file(let path) = secret.source.place else { return secret }
            let whole = path.starts(with: Bytes("~/")) ? path : Path.join(cwd, path)
            return .init(name: secret.name, source: .init(.file(whole), isFile: secret.source.isFile))
        }
        overrides.rawOutput = rawOutput
        overrides.artifacts = artifacts
        overrides.read = read.map { Path.normalized(Path.join(cwd, $0)) }
        overrides.write = write.map { Path.normalized(Path.join(cwd, $0)) }
        overrides.allowHosts = allowHosts
        return overrides
    }

    // MARK: - One value each

    static func sandbox(_ text: String, from origin: String) throws(Failure) -> String {
        if NamedSandbox.isName(text) { return text }
        throw Failure(
            "usage.value",
            "\(origin) takes 1 to 64 letters, digits, `.`, `_` or `-`, beginning with a letter or a digit, and nothing that "
                + "looks like a run id: not \(Bytes(text).shown)")
    }

    /// Whole seconds, rounded up.
    private static func wait(_ arguments: Arguments) throws(Failure) -> Int {
        guard let text = try arguments.text("wait") else { return 0 }
        let longest: UInt64 = 365 * 86400
        guard let time = try PolicyOverrides.timeout(text).amount else { return Int(longest) }
        return Int(min(time / 1_000_000_000 + (time % 1_000_000_000 == 0 ? 0 : 1), longest))
    }

    private static func request(_ arguments: Arguments) throws(Failure) -> Request {
        var found: [(name: String, request: Request)] = []
        if let string = arguments.value("cmd") { found.append(("--cmd", .shell(string))) }
        if let file = try named("script", arguments) {
            found.append(("--script", .script(file: file, arguments: arguments.rest)))
        }
        if let code = arguments.value("python") {
            found.append(("--python", .python(code: code, arguments: arguments.rest)))
        }
        if arguments.restOwner == "--" {
            if arguments.rest.isEmpty { throw Failure("usage.missing", "there is no program after --") }
            found.append(("--", .program(arguments.rest)))
        }
        if let word = arguments.operands.first {
            throw Failure(
                "usage.operand",
                "unexpected word: \(word.shown); to run a program, write -- before it: -- \(word.shown)")
        }
        guard let first = found.first else {
            throw Failure(
                "usage.missing",
                "nothing to run is given: one of --cmd STRING, --script FILE, --python CODE, -- PROGRAM")
        }
        if found.count > 1 {
            throw Failure("usage.conflict", "only one can be run: \(found.map { $0.name }.joined(separator: " or "))")
        }
        return first.request
    }

    /// An empty name is an unset variable of the caller's script, never what was meant.
    private static func named(_ option: String, _ arguments: Arguments) throws(Failure) -> Bytes? {
        guard let value = arguments.value(option) else { return nil }
        if value.isEmpty { throw Failure("usage.value", "--\(option) is empty") }
        return value
    }

    private static func paths(_ option: String, _ arguments: Arguments) throws(Failure) -> [Bytes] {
        let paths = arguments.values(option)
        if paths.contains([]) { throw Failure("usage.value", "--\(option) is empty") }
        return paths
    }

    /// No error shows the word: what stands there may be a secret.
    private static func variable(_ word: Bytes) throws(Failure) -> Variable {
        guard let equals = word.firstIndex(of: UInt8(ascii: "=")) else {
            throw Failure("usage.value", "--env takes NAME=VALUE; to pass a variable of yours on, use --pass-env NAME")
        }
        let (name, value) = try PolicyOverrides.environment(
            name: Array(word[..<equals]), value: Array(word[(equals + 1)...]))
        return Variable(name: name, value: value)
    }

    private static func secrets(_ arguments: Arguments) throws(Failure) -> [PolicyOverrides.NamedSecret] {
        var secrets: [PolicyOverrides.NamedSecret] = []
        for (option, isFile) in [("secret", false), ("secret-file", true)] {
            for word in arguments.values(option) {
                let secret = try PolicyOverrides.secret(option, word, isFile: isFile)
                if secrets.contains(where: { $0.name == secret.name }) {
                    throw Failure("usage.repeated", "the secret \(secret.name) is given twice, and only one can count")
                }
                secrets.append(secret)
            }
        }
        return secrets
    }

    private static func tier(_ arguments: Arguments) throws(Failure) -> Tier? {
        guard let name = try arguments.text("require") else { return nil }
        if let tier = Tier(name: name) { return tier }
        let near = Spelling.nearest(to: name, in: Tier.allCases.map(\.name)).map { "; did you mean \($0)?" } ?? ""
        throw Failure(
            "usage.value", "--require takes sealed, isolated or confined, not \(Bytes(name).shown)\(near)")
    }

    private static func labels(_ arguments: Arguments) throws(Failure) -> [String: String] {
        var labels: [String: String] = [:]
        for word in arguments.values("label") {
            guard let text = word.text else { throw Failure("usage.value", "--label isn't valid UTF-8: \(word.shown)") }
            let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard parts.count == 2, !parts[0].isEmpty else {
                throw Failure("usage.value", "--label takes NAME=VALUE, not \(word.shown)")
            }
            if labels.updateValue(parts[1], forKey: parts[0]) != nil {
                throw Failure(
                    "usage.repeated", "the label \(Bytes(parts[0]).shown) is given twice, and only one can count")
            }
        }
        return labels
    }
}
