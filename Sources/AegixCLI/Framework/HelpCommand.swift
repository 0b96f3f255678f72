// Side effects: writes to the console.

import AegixSystem

/// `aegix help [COMMAND]`.
public enum HelpCommand: Command {
    public static let name = "help"
    public static let summary = "explain a command and its options"
    public static let usage = ["help [COMMAND]"]
    public static let details = "Without COMMAND it lists the commands. `aegix COMMAND --help` says the same."
    public static var options: [Option] {
        [
            Option("man", hidden: true, help: "Print the man page."),
            Option(
                "completion", "SHELL", hidden: true, completes: .words(ShellCompletion.shells),
                help: "Print the completions for SHELL: bash, zsh or fish."),
        ]
    }
    public static var completes: Completion { .words(Commands.all.map { $0.name }) }

    public static func run(_ arguments: Arguments, _ console: Console) throws(Failure) -> Int32 {
        if arguments.flag("man") {
            try console.print(ManualPage.text(Commands.all))
            return 0
        }
        if let shell = try arguments.text("completion") {
            try completion(shell, console)
            return 0
        }
        guard let word = try arguments.operands("COMMAND", optional: 1).first else {
            try overview(console)
            return 0
        }
        guard let command = Commands.named(word) else { throw unknown(word) }
        try explain(command, console)
        return 0
    }

    private static func completion(_ shell: String, _ console: Console) throws(Failure) {
        guard let text = ShellCompletion.text(shell, Commands.all) else {
            throw Failure("usage.value", "--completion takes \(ShellCompletion.shells.joined(separator: ", "))")
        }
        try console.print(text)
    }

    static func overview(_ console: Console) throws(Failure) {
        if !console.json { return try console.print(Help.overview(Commands.all)) }
        let commands = Commands.all.map { command -> JSON in
            ["name": .string(command.name), "summary": .string(command.summary)]
        }
        try console.document([
            "schema": "aegix.help/v1", "version": .string(Version.number), "commands": .array(commands),
        ])
    }

    static func explain(_ command: any Command.Type, _ console: Console) throws(Failure) {
        if console.json { try console.document(Help.document(command)) } else { try console.print(Help.text(command)) }
    }

    /// A word that is no command: perhaps misspelled, perhaps a program.
    static func unknown(_ word: Bytes) -> Failure {
        let near = Spelling.nearest(to: String(decoding: word, as: UTF8.self), in: Commands.all.map { $0.name })
        return Failure(
            "usage.command",
            "\(word.shown) is no command of aegix"
                + (near.map { "; did you mean `aegix \($0)`?" } ?? "; to run it as a program: aegix -- \(word.shown)"))
    }
}
