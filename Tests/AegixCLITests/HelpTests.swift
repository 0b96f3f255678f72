// Side effects: reads docs/aegix.1. Help, man page and completions say the same as the tables.

import AegixSystem
import Testing

@testable import AegixCLI

@Suite struct HelpTests {
    /// Every command that is listed, and the options of run, which are here before their command.
    private static var commands: [any Command.Type] {
        Commands.all + (Commands.named(Bytes("run")) == nil ? [SampleRun.self] : [])
    }

    @Test func eachOptionIsExplainedInSentences() {
        for command in Self.commands {
            for option in command.allOptions {
                let place = "\(command.name) --\(option.name)"
                #expect(option.help.hasSuffix("."), "\(place): a sentence ends with a period")
                #expect(option.help.first?.isUppercase == true, "\(place): a sentence begins with a capital")
                #expect(option.help.split(separator: " ").count >= 3, "\(place): more than a keyword")
                #expect(!option.help.contains("\n"), "\(place): one paragraph")
                #expect(!option.repeatable || option.help.contains("more than once"), "\(place): says that it repeats")
                if let placeholder = option.placeholder {
                    #expect(placeholder == placeholder.uppercased(), "\(place): placeholders are capitals")
                }
            }
        }
    }

    @Test func defaultsAndUnitsAreTold() {
        for option in RunOptions.table
        where !["cmd", "script", "python", "read", "write", "env", "label"].contains(option.name) {
            #expect(option.help.contains("Default:"), "--\(option.name)")
        }
        let timeout = RunOptions.table.first { $0.name == "timeout" }?.help
        for unit in ["ms", " s", " m", " h", " d"] { #expect(timeout?.contains(unit) == true) }
    }

    @Test func exactlyTheOptionsOfThisVersion() {
        #expect(
            Set(RunOptions.table.map(\.name)) == [
                "cmd", "script", "python", "policy", "workspace", "name", "wait", "timeout", "env", "pass-env", "read",
                "write", "allow-host", "secret", "secret-file", "raw-stdout",
                "require", "memory", "cpus", "pids", "record-stdin", "artifact", "out",
                "record", "fail-on-violation", "label", "parent", "state-dir", "json", "quiet",
            ])
        #expect(
            RunOptions.table.filter(\.repeatable).map(\.name) == [
                "read", "write", "allow-host", "env", "pass-env", "secret", "secret-file", "artifact", "label",
            ])
    }

    @Test func commandsIntroduceThemselves() {
        for command in Self.commands {
            #expect(command.summary.first?.isLowercase == true && !command.summary.hasSuffix("."), "\(command.name)")
            #expect(command.details.hasSuffix(".") || command.details.contains("\n  "), "\(command.name)")
            #expect(!command.usage.isEmpty, "\(command.name)")
        }
        #expect(Set(Commands.all.map { $0.name }).count == Commands.all.count)
    }

    @Test func helpFitsATerminal() {
        for command in Self.commands {
            let text = Help.text(command)
            for line in text.split(separator: "\n") where !line.hasPrefix("  ") || line.hasPrefix("      ") {
                #expect(line.count <= 100, "\(command.name): \(line)")
            }
            for option in command.allOptions {
                #expect(text.contains("\n  \(option.shown)\n") == !option.hidden, "\(command.name) --\(option.name)")
            }
        }
    }

    @Test func paragraphsWrapAndExamplesStay() {
        let long = String(repeating: "word ", count: 40) + "end."
        let parts = Help.paragraphs(long + "\n\n  aegix   --cmd x\n  aegix   y")
        #expect(parts.count == 2)
        #expect(parts[0].split(separator: "\n").allSatisfy { $0.count <= 90 })
        #expect(parts[1] == "  aegix   --cmd x\n  aegix   y")
    }

    @Test func theManPageIsCurrent() throws {
        let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        let page = try Descriptor.open(Bytes("/\(root)/docs/aegix.1"), 0).readAll(limit: 1 << 20)
        #expect(page.text == ManualPage.text(Commands.all) + "\n", "docs/aegix.1 isn't current: run `make docs`")
    }

    @Test func theManPageHasEveryOption() {
        let page = ManualPage.text(Self.commands)
        for command in Self.commands {
            for option in command.allOptions where !option.hidden {
                let name = option.name.split(separator: "-").joined(separator: #"\-"#)
                let short = option.short.map { #"\-"# + $0 + ", " } ?? ""
                #expect(page.contains(".B " + short + #"\-\-"# + name), "\(command.name) --\(option.name)")
            }
        }
        #expect(!page.contains("completion"))
    }

    @Test(arguments: ShellCompletion.shells) func completionsHaveEveryOption(shell: String) throws {
        let text = try #require(ShellCompletion.text(shell, Self.commands))
        for command in Self.commands {
            #expect(text.contains(command.name))
            for option in command.allOptions where !option.hidden {
                #expect(text.contains(shell == "fish" ? "-l \(option.name) " : "--\(option.name)"), "\(option.name)")
            }
        }
        #expect(!text.contains("--man"))
        #expect(ShellCompletion.text("tcsh", Self.commands) == nil)
    }
}
