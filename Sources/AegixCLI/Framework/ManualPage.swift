// Pure. The man page, from the same tables that parse the words.

/// docs/aegix.1 is this text; a test holds them together.
enum ManualPage {
    static func text(_ commands: [any Command.Type]) -> String {
        var out = [
            #".\" Written by `aegix help --man`: change the tables in Sources/AegixCLI, then run `make docs`."#,
            ".TH AEGIX 1 \"\" \"aegix \(Version.number)\" \"User commands\"",
            ".SH NAME",
            #"aegix \- run one command contained and recorded"#,
            ".SH SYNOPSIS",
        ]
        for (index, line) in commands.flatMap({ $0.usage }).enumerated() {
            if index > 0 { out.append(".br") }
            out.append(".B aegix " + escaped(line))
        }
        out += [".SH DESCRIPTION", filled(description)]
        out.append(".SH COMMANDS")
        for command in commands { out += section(command) }
        out += [".SH EXIT STATUS"]
        for (code, meaning) in exitCodes { out += [".TP", ".B " + code, filled(meaning)] }
        out += [".SH ENVIRONMENT"]
        for (name, meaning) in environment { out += [".TP", ".B " + name, filled(meaning)] }
        return out.joined(separator: "\n")
    }

    private static let description = """
        aegix runs one command of an AI agent, a CI job or an engineer in namespaces of its own, under a policy, with limits, \
        and writes a record of what happened. What can't be enforced stops the run. stdout belongs to the command; aegix \
        speaks on stderr, and with --json prints exactly one document on stdout.
        """

    /// As the contract has them, for the commands of this version.
    private static let exitCodes = [
        ("0-122", "The command's own."),
        ("123", "The command ran, but the record or another result couldn't be written."),
        ("124", "The wall-clock or CPU-time limit ended it."),
        ("125", "aegix, the policy or the tier failed; nothing ran."),
        ("126", "The command was denied, or isn't executable."),
        ("127", "There is no such program in view."),
        ("128+n", "The command died of signal n."),
    ]

    private static let environment = [
        ("AEGIX_STATE", "The state directory, where --state-dir isn't given."),
        ("AEGIX_PAGER, PAGER", "What review shows itself through on a terminal. Default: less. Empty or cat: nothing."),
        ("NO_COLOR", "Not empty: no colours, where --color doesn't ask for them."),
        ("XDG_STATE_HOME", "The directory that holds the state directory. Default: ~/.local/state."),
        ("XDG_CONFIG_HOME", "The directory that holds aegix/policy.toml. Default: ~/.config."),
    ]

    private static func section(_ command: any Command.Type) -> [String] {
        var out = [".SS aegix " + escaped(command.name)]
        out.append(filled(command.summary.prefix(1).uppercased() + command.summary.dropFirst() + "."))
        for paragraph in command.details.split(separator: "\n\n") {
            if paragraph.hasPrefix(" ") {
                out += [".PP", ".nf", filled(String(paragraph)), ".fi"]
            } else {
                out += [".PP", filled(paragraph.split(separator: "\n").joined(separator: " "))]
            }
        }
        for option in command.allOptions where !option.hidden {
            out += [".TP", ".B " + escaped(option.shown), filled(option.help)]
        }
        return out
    }

    /// A text's lines: a dot or a quote at the start of one would be a request.
    private static func filled(_ text: String) -> String {
        text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            let safe = escaped(String(line))
            return safe.hasPrefix(".") || safe.hasPrefix("'") ? #"\&"# + safe : safe
        }.joined(separator: "\n")
    }

    /// A bare `-` may become a hyphen that can't be copied into a shell.
    private static func escaped(_ text: String) -> String {
        var out = ""
        for character in text {
            switch character {
            case "\\": out += #"\e"#
            case "-": out += #"\-"#
            case "…": out += "..."
            default: out.append(character)
            }
        }
        return out
    }
}
