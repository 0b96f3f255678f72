// Pure data. A command with one option of each kind, and one that takes a program's words.

import AegixSystem

@testable import AegixCLI

enum SampleCommand: Command {
    static let name = "sample"
    static let summary = "stand in for a command"
    static let usage = ["sample [OPTION…] [WORD…]"]
    static let details = "It does nothing."
    static let options = [
        Option("quiet", help: "Say nothing."),
        Option("policy", "FILE", help: "Take FILE."),
        Option("env", "NAME=VALUE", repeatable: true, help: "Set a variable. Can be given more than once."),
    ]
    static func run(_ arguments: Arguments, _ console: Console) throws(Failure) -> Int32 { 0 }
}

enum SampleRun: Command {
    static let name = "run"
    static let summary = "stand in for run"
    static let usage = RunOptions.usage
    static let details = "It does nothing."
    static let options = RunOptions.table
    static let unavailable = ["later"]
    static let passesRest = true
    static func run(_ arguments: Arguments, _ console: Console) throws(Failure) -> Int32 { 0 }
}

func words(_ texts: String...) -> [Bytes] { texts.map { Bytes($0) } }

/// The failure of `body`; nil when it has none.
func failure(_ body: () throws(Failure) -> Void) -> Failure? {
    do {
        try body()
        return nil
    } catch {
        return error
    }
}
