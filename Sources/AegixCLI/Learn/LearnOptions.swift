// Pure. The options of learn: those of run that make sense for it, and its own.

import AegixSystem

struct LearnOptions {
    var run: RunOptions
    /// nil: the caller's own policy, else the preset `learn`.
    var within: Bytes?
    /// nil: stdout.
    var output: Bytes?
    var replaces: Bool

    /// What run has, and a run that is thrown away doesn't; `--json` means its own document here.
    private static let others: Set<String> = [
        "policy", "name", "wait", "record", "artifact", "out", "fail-on-violation", "raw-stdout", "json",
    ]

    static var table: [Option] {
        [
            Option(
                "within", "FILE|PRESET", completes: .file,
                help: """
                    Learn under this policy, and propose nothing that it doesn't allow: a TOML file, or a built-in one by its name. \
                    Default: $XDG_CONFIG_HOME/aegix/policy.toml if it exists, else the preset `learn`: the base system, the workspace \
                    in a layer, any public host, no keys.
                    """),
            Option(
                "output", "FILE", short: "o", completes: .file,
                help: """
                    Write the policy to FILE, which must not be there. Default: stdout, and what the command writes to its own \
                    stdout goes to stderr.
                    """),
            Option("force", help: "Replace FILE if it is there and a regular file. Default: that is an error."),
        ] + RunOptions.table.filter { !others.contains($0.name) }
    }

    init(_ arguments: Arguments) throws(Failure) {
        run = try RunOptions(arguments)
        within = arguments.value("within")
        output = arguments.value("output")
        replaces = arguments.flag("force")
        if within == [] || output == [] {
            throw Failure("usage.value", "--\(within == [] ? "within" : "output") is empty")
        }
        if replaces, output == nil {
            throw Failure("usage.conflict", "--force without --output has nothing to replace")
        }
    }
}
