// Pure. Help, from the same tables that parse the words.

import AegixSystem

enum Help {
    static let width = 90

    /// `aegix --help`.
    static func overview(_ commands: [any Command.Type]) -> String {
        let column = (commands.map { $0.name.count }.max() ?? 0) + 2
        let list = commands.map { command in
            "  " + command.name + String(repeating: " ", count: column - command.name.count) + command.summary
        }
        return """
            aegix: run one command contained and recorded

            Usage:
              aegix [run] [OPTION…] --cmd STRING
              aegix [run] [OPTION…] -- PROGRAM [ARG…]
              aegix COMMAND [OPTION…]

            Commands:
            \(list.joined(separator: "\n"))

            `aegix help COMMAND` explains a command and its options. `aegix --version` prints the version.
            """
    }

    /// `aegix COMMAND --help`.
    static func text(_ command: any Command.Type) -> String {
        var blocks = ["aegix \(command.name): \(command.summary)"]
        blocks.append("Usage:\n" + command.usage.map { "  aegix " + $0 }.joined(separator: "\n"))
        blocks.append(paragraphs(command.details).joined(separator: "\n\n"))
        let options = command.allOptions.filter { !$0.hidden }.map { option in
            "  \(option.shown)\n" + wrap(option.help, indent: 6)
        }
        blocks.append("Options:\n" + options.joined(separator: "\n"))
        return blocks.joined(separator: "\n\n")
    }

    /// `aegix COMMAND --help --json`.
    static func document(_ command: any Command.Type) -> JSON {
        let options = command.allOptions.filter { !$0.hidden }.map { option -> JSON in
            [
                "name": .string("--" + option.name), "placeholder": option.placeholder.map { .string($0) } ?? .null,
                "repeatable": .bool(option.repeatable), "help": .string(option.help),
            ]
        }
        return [
            "schema": "aegix.help/v1", "command": .string(command.name), "summary": .string(command.summary),
            "usage": .array(command.usage.map { .string("aegix " + $0) }), "details": .string(command.details),
            "options": .array(options),
        ]
    }

    /// Paragraphs wrapped; one whose first line starts with a space is an example and stays as it is.
    static func paragraphs(_ text: String) -> [String] {
        text.split(separator: "\n\n", omittingEmptySubsequences: true).map { paragraph in
            paragraph.hasPrefix(" ") ? String(paragraph) : wrap(String(paragraph), indent: 0)
        }
    }

    static func wrap(_ text: String, indent: Int) -> String {
        let margin = String(repeating: " ", count: indent)
        var lines: [String] = []
        var line = ""
        for word in text.split(whereSeparator: { $0 == " " || $0 == "\n" }) {
            if !line.isEmpty, indent + line.count + 1 + word.count > width {
                lines.append(margin + line)
                line = ""
            }
            line += line.isEmpty ? String(word) : " " + word
        }
        lines.append(margin + line)
        return lines.joined(separator: "\n")
    }
}
