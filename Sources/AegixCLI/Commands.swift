// Pure data. The commands that exist; one that doesn't isn't listed.

import AegixSystem

enum Commands {
    /// In the order in which help lists them.
    static var all: [any Command.Type] {
        [
            RunCommand.self, PlanCommand.self, LearnCommand.self, ShowCommand.self, WhyCommand.self, ReviewCommand.self,
            ApplyCommand.self, DiscardCommand.self, ResetCommand.self, HistoryCommand.self, ReplayCommand.self,
            ExportCommand.self, VerifyCommand.self, KeygenCommand.self, PruneCommand.self, SandboxesCommand.self,
            PolicyCommand.self, DoctorCommand.self, HelpCommand.self,
        ]
    }

    /// The command when the first word is an option: `aegix --cmd …` is `aegix run --cmd …`.
    static var implied: any Command.Type { named(Bytes("run")) ?? HelpCommand.self }

    static func named(_ name: Bytes) -> (any Command.Type)? { all.first { name.elementsEqual($0.name.utf8) } }
}
