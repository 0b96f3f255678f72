// Pure data. The words for each option of run and plan; help, completions and the man page are made of them.

import AegixPolicy

extension RunOptions {
    /// What `run` and `plan` list.
    public static var table: [Option] { forms + views + limits + records }

    /// What the contract knows and this version refuses by name.
    public static let unavailable: [String] = []

    public static let usage = ["--cmd STRING", "--script FILE [ARG…]", "--python CODE [ARG…]", "-- PROGRAM [ARG…]"]

    private static var forms: [Option] {
        [
            Option("cmd", "STRING", help: "Run STRING with `sh -c`."),
            Option(
                "script", "FILE", endsOptions: true, completes: .file,
                help: """
                    Run the script FILE by its shebang line, or without one by its extension (.sh, .py, …). All words \
                    after FILE are the script's own.
                    """),
            Option(
                "python", "CODE", endsOptions: true,
                help: "Run CODE with `python3 -c`. All words after CODE are the program's own."),
        ]
    }

    private static var views: [Option] {
        [
            Option(
                "policy", "FILE|PRESET", completes: .file,
                help: """
                    Take the policy from the TOML file FILE, or a built-in one by its name; `aegix policy list` names \
                    them. Default: $XDG_CONFIG_HOME/aegix/policy.toml if it exists, else the preset `default`.
                    """),
            Option(
                "workspace", "DIR", completes: .directory,
                help: "Make DIR the workspace, in view at its own path. Default: the current directory."),
            Option(
                "name", "NAME",
                help: """
                    Run in the sandbox NAME, which lives on from call to call: its runs see each other's changes of the \
                    workspace. One run at a time. Default: $AEGIX_NAME, else the policy's workspace.sandbox, else a \
                    sandbox of the run's own.
                    """),
            Option(
                "wait", "DURATION",
                help: """
                    Wait so long for another run in the same named sandbox to end. `none` waits for ever. Default: 0s, \
                    which fails at once.
                    """),
            Option(
                "read", "PATH", repeatable: true, completes: .file,
                help: "Let the command read PATH, beyond what the policy lets it read. Can be given more than once."),
            Option(
                "write", "PATH", repeatable: true, completes: .file,
                help: """
                    Let the command write PATH in place: such changes are real at once and can't be reset. Can be \
                    given more than once.
                    """),
            Option(
                "allow-host", "HOST[:PORT]", repeatable: true,
                help: """
                    Let the command connect to HOST, beyond what the policy lets it: a name, *.name, an address or a range \
                    of addresses, on PORT, or on 80 and 443 without one. Can be given more than once. Default: what the policy's \
                    [network] lets through.
                    """),
            Option(
                "env", "NAME=VALUE", repeatable: true,
                help: """
                    Set a variable in the command's environment. Can be given more than once; of equal names the last \
                    counts.
                    """),
            Option(
                "pass-env", "NAME", repeatable: true,
                help: """
                    Pass a variable of your environment on to the command. Can be given more than once. Default: what \
                    the policy passes on, LANG and TERM without one.
                    """),
            Option(
                "secret", "NAME=SOURCE", repeatable: true,
                help: """
                    Set the variable NAME to a secret, and put [redacted:NAME] wherever its value would be shown or \
                    recorded. SOURCE is env:VARIABLE, of your environment, or file:PATH. Can be \
                    given more than once. Default: the policy's [secrets].
                    """),
            Option(
                "secret-file", "NAME=SOURCE", repeatable: true,
                help: """
                    As --secret, but hand the secret over in a file in memory, and set the variable NAME to its path. \
                    Can be given more than once. Default: the policy's [secrets].
                    """),
            Option(
                "raw-stdout",
                help: """
                    Pass what the command writes on to your stdout as it is, secrets included. The record and its logs \
                    stay without them. Default: your stdout doesn't show them either.
                    """),
        ]
    }

    private static var limits: [Option] {
        [
            Option(
                "timeout", "DURATION",
                help: """
                    Stop the command after DURATION of wall time: a number with its unit, ms, s, m, h or d, as in 500ms, \
                    30s, 1.5m. `none` is no limit. Default: the policy's limits.wall.
                    """),
            Option(
                "memory", "SIZE",
                help: """
                    Stop the command when all its processes together use more than SIZE of memory, files in /tmp and \
                    /dev/shm included: a number with its unit, as in 512MiB or 2GB. `none` is no limit. Default: the \
                    policy's limits.memory.
                    """),
            Option(
                "cpus", "NUMBER",
                help: """
                    Let the command keep NUMBER processors busy at most, as in 2 or 0.5. `none` is no limit. Default: \
                    the policy's limits.cpus.
                    """),
            Option(
                "pids", "COUNT",
                help: """
                    Let the command have COUNT processes and threads at once; it can't start another beyond. `none` is \
                    no limit. Default: the policy's limits.pids.
                    """),
            Option(
                "require", "TIER", completes: .words(Tier.allCases.reversed().map(\.name)),
                help: """
                    Refuse to run below this tier: sealed, isolated or confined, strongest first. Default: the \
                    policy's `require`, which is isolated without one. `aegix doctor` says which this host can reach.
                    """),
        ]
    }

    private static var records: [Option] {
        [
            Option(
                "record", "FILE", completes: .file,
                help: "Write a copy of the record, audit.json, to FILE. Default: only to the state directory."),
            Option(
                "record-stdin",
                help: """
                    Keep what the command reads from stdin, byte by byte, in the run's directory, for a replay. Nothing is kept \
                    where a secret of the run is in it, or where stdin is a terminal. Default: only what stdin was is recorded.
                    """),
            Option(
                "artifact", "GLOB", repeatable: true,
                help: """
                    Copy the files of the workspace that GLOB names, as the command left them, to the run's directory, also \
                    when it failed. GLOB is a pattern from the workspace's top: dist, `*.xml`, `**/*.log`. Can be given more \
                    than once. Default: the policy's artifacts.collect.
                    """),
            Option(
                "out", "DIR", completes: .directory,
                help: """
                    Put copies of the artifacts into DIR, too, which is made if it isn't there. Default: only in the run's \
                    directory.
                    """),
            Option(
                "label", "NAME=VALUE", repeatable: true,
                help: "Put a label into the record, for `aegix history --label`. Can be given more than once."),
            Option(
                "parent", "RUN",
                help: "Name the run that this one belongs to, in the record. Default: none."),
            Option(
                "fail-on-violation",
                help: """
                    Exit with 126 when anything that the command tried was denied or refused, even if it ended well itself. \
                    Default: the exit code of the command.
                    """),
            Option(
                "state-dir", "DIR", completes: .directory,
                help: """
                    Keep records in DIR. Default: $AEGIX_STATE, else $XDG_STATE_HOME/aegix, else \
                    ~/.local/state/aegix.
                    """),
            Option(
                "json",
                help: """
                    Capture the output of the command and print the record as the one document on stdout, whatever \
                    happens; errors are a document too. Default: the command's own output.
                    """),
            Option(
                "quiet",
                help: "Say nothing on stderr about a run that worked; errors are still told. Default: one line."),
        ]
    }
}
