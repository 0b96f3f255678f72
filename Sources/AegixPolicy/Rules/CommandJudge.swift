// Pure. Rules × what an exec would start ─► the decision. The one place where it is taken.

import AegixSystem

/// One program that an exec brings to run: the file itself, and for a script each interpreter of its chain.
public struct ExecSubject: Equatable, Sendable {
    public var readings: [Reading]
    /// The sandbox could have written the file, so its name proves nothing.
    public var isWritable: Bool

    public init(_ readings: [Reading], isWritable: Bool) {
        self.readings = readings
        self.isWritable = isWritable
    }

    /// What it can be taken for. A program of many names, as busybox is, has more than one.
    public struct Reading: Equatable, Sendable {
        /// Paths that are surely its own: the resolved one, and those that lead to this very file.
        public var paths: [Bytes]
        /// Paths that it could be known by: as it was called, and of programs with the same content.
        public var aliases: [Bytes]
        public var argv: [Bytes]

        public init(paths: [Bytes], aliases: [Bytes] = [], argv: [Bytes]) {
            self.paths = paths
            self.aliases = aliases
            self.argv = argv
        }
    }
}

public struct CommandVerdict: Equatable, Sendable {
    public var decision: CommandDecision
    /// nil: the default.
    public var rule: CommandRule?

    public init(_ decision: CommandDecision, _ rule: CommandRule? = nil) {
        self.decision = decision
        self.rule = rule
    }
}

extension Policy.Commands {
    /// The strictest over all subjects. Interpreters follow their script; a default of deny doesn't stop one whose script a
    /// rule allows, unless the sandbox can write the script and with it choose the interpreter.
    public func judge(_ subjects: [ExecSubject]) -> CommandVerdict {
        var verdicts = subjects.map(judge)
        if let first = verdicts.first, first.decision == .allow, first.rule != nil, subjects.first?.isWritable == false
        {
            for index in verdicts.indices.dropFirst() where verdicts[index].rule == nil {
                verdicts[index] = first
            }
        }
        return verdicts.max { $0.decision < $1.decision } ?? CommandVerdict(.deny)
    }

    private func judge(_ subject: ExecSubject) -> CommandVerdict {
        for decision in [CommandDecision.deny, .approve] {
            for rule in rules where rule.decision == decision {
                if subject.readings.contains(where: { restricts(rule, $0) }) { return CommandVerdict(decision, rule) }
            }
        }
        for rule in rules where rule.decision == .allow {
            if subject.readings.contains(where: { frees(rule, $0, isWritable: subject.isWritable) }) {
                return CommandVerdict(.allow, rule)
            }
        }
        return CommandVerdict(unmatched)
    }

    /// Anything that it might be known by is enough to stop it…
    private func restricts(_ rule: CommandRule, _ reading: ExecSubject.Reading) -> Bool {
        (rule.pattern.matchesProgram(reading.paths, byName: true)
            || rule.pattern.matchesProgram(reading.aliases, byName: true))
            && rule.pattern.matchesArguments(reading.argv.dropFirst())
    }

    /// … and only what it surely is lets it run.
    private func frees(_ rule: CommandRule, _ reading: ExecSubject.Reading, isWritable: Bool) -> Bool {
        rule.pattern.matchesProgram(reading.paths, byName: !isWritable)
            && rule.pattern.matchesArguments(reading.argv.dropFirst())
    }
}
