// Pure data. What a command is: its name, its words for the user, its options and the road it runs.

import AegixSystem

/// One verb of aegix. Everything that help, completions and the man page say comes from here, so they can't drift.
public protocol Command {
    static var name: String { get }
    /// Half a sentence without a period, for the list of commands.
    static var summary: String { get }
    /// Each a line after `aegix`: `show RUN`.
    static var usage: [String] { get }
    /// Paragraphs in full sentences, parted by empty lines; a line that starts with a space is kept as it is.
    static var details: String { get }
    /// `--json` and `--help` are added by the framework.
    static var options: [Option] { get }
    /// Options that the contract knows and this version doesn't have: named in an error, never in help.
    static var unavailable: [String] { get }
    /// Whether the words after `--` are a program's (`arguments.rest`) instead of operands.
    static var passesRest: Bool { get }
    /// What the operands are, for completion.
    static var completes: Completion { get }

    /// Returns the exit code. What goes wrong is thrown; the caller puts it into the right form.
    static func run(_ arguments: Arguments, _ console: Console) throws(Failure) -> Int32
}

extension Command {
    public static var unavailable: [String] { [] }
    public static var passesRest: Bool { false }
    public static var completes: Completion { .nothing }

    /// The command's own options and the two that every command has.
    static var allOptions: [Option] {
        var all = options
        for common in [Option.json, Option.help] where !all.contains(where: { $0.name == common.name }) {
            all.append(common)
        }
        return all
    }
}

/// One `--name` of a command.
public struct Option: Sendable {
    /// Without the dashes.
    public let name: String
    /// `DURATION`; nil for a flag.
    public let placeholder: String?
    /// Full sentences, with unit and default.
    public let help: String
    /// May be given more than once.
    public let repeatable: Bool
    /// All words after its value are the command's own (`arguments.rest`), whatever they look like.
    public let endsOptions: Bool
    /// Left out of help, completions and the man page.
    public let hidden: Bool
    public let completes: Completion
    /// `o` for `-o`; nil for most.
    public let short: String?

    public init(
        _ name: String, _ placeholder: String? = nil, short: String? = nil, repeatable: Bool = false,
        endsOptions: Bool = false, hidden: Bool = false, completes: Completion = .nothing, help: String
    ) {
        self.name = name
        self.short = short
        self.placeholder = placeholder
        self.help = help
        self.repeatable = repeatable
        self.endsOptions = endsOptions
        self.hidden = hidden
        self.completes = completes
    }

    public static let json = Option(
        "json", help: "Print exactly one JSON document on stdout, whatever happens; errors are a document too.")
    public static let help = Option("help", help: "Print this help and exit with 0.")

    /// As it stands in help: `--script FILE [ARG…]`.
    var shown: String {
        (short.map { "-\($0), " } ?? "") + "--" + name + (placeholder.map { " " + $0 } ?? "")
            + (endsOptions ? " [ARG…]" : "")
    }
}

/// What a shell offers for an option's value or for the operands.
public enum Completion: Sendable, Equatable {
    case nothing, file, directory, program
    case words([String])
}
