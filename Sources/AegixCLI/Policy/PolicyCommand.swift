// Side effects: reads policies, writes to the console, and for `trust` to the user's configuration.

import AegixPolicy
import AegixSystem
import Glibc

/// `aegix policy list|show|check|explain|schema|trust`.
public enum PolicyCommand: Command {
    public static let name = "policy"
    public static let summary = "list, show, check, explain and trust policies"
    public static let usage = [
        "policy list", "policy show PRESET|FILE", "policy check FILE…", PolicyExplain.usage, "policy schema",
        "policy trust FILE",
    ]
    public static let details = """
        `list` names the presets. `show` prints a preset as the commented text to copy from, or a file as the policy that it \
        comes to with all it extends.

        `check` reads each FILE as a run would and tells everything that is wrong with it, with line and column; it exits \
        with 0 when nothing is, else with 125. `schema` prints a JSON Schema for editors.

        `trust` says that you have looked at FILE, usually the aegix.toml of a workspace. It may then loosen the policy, up \
        to the machine's ceiling, until its content changes. An approval command that lies in the workspace is trusted the \
        same way.


        """ + PolicyExplain.details
    public static let options = PolicyExplain.options
    public static let passesRest = true
    private static let verbs = ["list", "show", "check", "explain", "schema", "trust"]
    public static var completes: Completion { .words(verbs) }

    public static func run(_ arguments: Arguments, _ console: Console) throws(Failure) -> Int32 {
        guard let verb = arguments.operands.first else {
            throw Failure("usage.operand", "what about the policy? One of list, show, check, explain, schema or trust")
        }
        var rest = Array(arguments.operands.dropFirst())
        if verb == Bytes("explain") {
            try none(rest)
            return try PolicyExplain.run(arguments, console)
        }
        rest += arguments.rest
        if let foreign = options.first(where: { arguments.value($0.name) != nil }) {
            throw Failure("usage.conflict", "--\(foreign.name) is an option of `aegix policy explain`")
        }
        switch verb.text {
        case "list": try list(none(rest), console)
        case "show": try show(one(rest, "PRESET or FILE"), console)
        case "check": return try check(rest, console)
        case "schema":
            try none(rest)
            if console.json {
                try console.document(PolicySchema.document)
            } else {
                try console.write(PolicySchema.document.pretty)
            }
        case "trust": try trust(one(rest, "FILE"), console)
        default:
            let near = Spelling.nearest(
                to: String(decoding: verb, as: UTF8.self), in: verbs)
            throw Failure(
                "usage.operand",
                "unknown policy command \(verb.shown)"
                    + (near.map { "; did you mean \($0)?" } ?? ": \(verbs.joined(separator: ", "))"))
        }
        return 0
    }

    private static func list(_: Void, _ console: Console) throws(Failure) {
        if console.json {
            return try console.document([
                "schema": "aegix.policies/v1", "presets": .array(Preset.names.map { .string($0) }),
            ])
        }
        for name in Preset.names { try console.print(name) }
    }

    private static func show(_ word: Bytes, _ console: Console) throws(Failure) {
        if !PolicyStack.isFile(word), let preset = word.text.flatMap(Preset.named), !console.json {
            return try console.write(Bytes(preset.text))
        }
        let policy = try PolicyStack.alone(word)
        if !console.json { return try console.write(policy.toml) }
        try console.document(["schema": "aegix.policy/v1", "digest": .string(policy.digest), "policy": policy.json])
    }

    /// Every file is read before anything is told: with --json all errors go into the one document.
    private static func check(_ words: [Bytes], _ console: Console) throws(Failure) -> Int32 {
        if words.isEmpty { throw Failure("usage.operand", "FILE is missing") }
        var failures: [Failure] = []
        for word in words {
            do throws(Failure) { _ = try PolicyStack.alone(word) } catch { failures.append(error) }
        }
        guard var first = failures.first else {
            if console.json {
                try console.document([
                    "schema": "aegix.policy-check/v1", "valid": true, "files": .array(words.map { .bytes($0) }),
                ])
            }
            return 0
        }
        // A failure without a place in a file, such as a missing one, is a detail as well once there are several.
        first.details = failures.flatMap { $0.details.isEmpty ? [Failure.Detail(message: $0.message)] : $0.details }
        throw first
    }

    private static func trust(_ word: Bytes, _ console: Console) throws(Failure) {
        // Neither a link nor a file that isn't a policy: the pin is on what a run will read.
        guard let file = try PolicyFile.read(word, named: word.shown, flags: O_NOFOLLOW) else {
            throw Failure("policy.missing", "there is no policy \(word.shown)")
        }
        // What isn't a policy is an approval command, or a file that one is given.
        if file.canonical.suffix(5) == Bytes(".toml")[...] {
            do { _ = try PolicyReader.read(file.bytes, source: file.name) } catch { throw error.failure }
        }
        guard let configuration = TrustStore.configuration(home: PolicyStack.home) else {
            throw Failure("policy.trust", "there is no place for the list of trusted files: HOME isn't set")
        }
        try TrustStore(directory: configuration).pin(file)
        let digest = SHA256.hex(file.bytes)
        if console.json {
            return try console.document(
                ["schema": "aegix.policy-trust/v1", "path": .bytes(file.canonical), "sha256": .string(digest)])
        }
        try console.print("trusted until it changes: \(file.canonical.shown) (sha256 \(digest.prefix(12))…)")
    }

    private static func none(_ rest: [Bytes]) throws(Failure) {
        if let word = rest.first { throw Failure("usage.operand", "unexpected word: \(word.shown)") }
    }

    private static func one(_ rest: [Bytes], _ name: String) throws(Failure) -> Bytes {
        guard let first = rest.first else { throw Failure("usage.operand", "\(name) is missing") }
        try none(Array(rest.dropFirst()))
        return first
    }
}
