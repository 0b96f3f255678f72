// Pure. The options of replay: their table, and the words of one call as typed values.

import AegixPolicy
import AegixSystem

struct ReplayOptions {
    /// A run, or a bundle's path.
    var what: Bytes
    var isBundle: Bool
    var network: Bool
    var environment: [String: Bytes] = [:]
    var timeout: PolicyOverrides.Limit?
    /// Measured durations count, too.
    var strict: Bool
    var variations: [ReplayVariation] = []
    /// Where the report is written as JUnit's XML.
    var junit: Bytes?
    var stateDirectory: Bytes?

    static let table: [Option] = [
        Option(
            "network",
            help: "Give the replay the network that the record's policy allows. Default: none. Not for a bundle."),
        Option(
            "env", "NAME=VALUE", repeatable: true,
            help: """
                Set a variable whose value wasn't recorded, as of one that was given by --env. Can be given more than once. Default: it \
                isn't set, and named as a difference.
                """),
        Option(
            "timeout", "DURATION",
            help:
                "Stop the replay after DURATION of wall time, if that is less than the policy's. Default: the record's policy."
        ),
        Option(
            "strict",
            help:
                "Take measured durations and names made up in /tmp for differences, too. Default: they are named, and don't count."
        ),
        Option(
            "vary", "LIST", repeatable: true,
            help: """
                Run it once more for each of these, separated by commas, and tell which one changes what comes out: \
                timezone, umask, num_cpus, env, home, file_order. Can be given more than once. Default: none.
                """),
        Option(
            "junit", "FILE", completes: .file,
            help: "Write the report to FILE as JUnit's XML, too. Default: no such file."),
        Option.recordState,
    ]

    init(_ arguments: Arguments) throws(Failure) {
        what = try arguments.operands("RUN|BUNDLE")[0]
        isBundle = what.contains(Path.slash) || what.suffix(6) == Bytes(".aegix")[...]
        network = arguments.flag("network")
        strict = arguments.flag("strict")
        for word in arguments.values("env") {
            guard let equals = word.firstIndex(of: UInt8(ascii: "=")) else {
                throw Failure("usage.value", "--env takes NAME=VALUE")
            }
            let (name, value) = try PolicyOverrides.environment(
                name: Array(word[..<equals]), value: Array(word[(equals + 1)...]))
            environment[name] = value
        }
        timeout = try arguments.text("timeout").map { text throws(Failure) in try PolicyOverrides.timeout(text) }
        for list in arguments.values("vary") {
            for word in list.split(separator: UInt8(ascii: ",")) {
                let variation = try ReplayVariation.named(Bytes(word))
                if !variations.contains(variation) { variations.append(variation) }
            }
        }
        junit = arguments.value("junit")
        if junit == [] { throw Failure("usage.value", "--junit is empty") }
        stateDirectory = arguments.value("state-dir")
        if isBundle, network {
            throw Failure(
                "usage.conflict", "--network isn't for a bundle: what a stranger recorded reaches no network from here")
        }
    }
}
