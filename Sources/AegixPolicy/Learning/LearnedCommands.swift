// Pure. Execs ─► `[commands]`: an allow rule a program, under a default of deny.

import AegixSystem

/// The program by the name that a search along PATH finds it by, else by its path; then the words that say what it is asked to
/// do, as far as they would be the same for another input; then anything.
struct LearnedCommands {
    private struct Program {
        var word: Bytes
        /// Beginnings of its arguments; an empty one is any.
        var heads: [CommandShape.Head] = []
        var by: Bytes?
    }

    private var programs: [Program] = []
    /// Why there can't be a default of deny.
    private var open: String?
    private var leftOut: [String] = []
    private let within: Policy
    private let anchors: PolicyAnchors

    private static let mostHeads = 8
    private static let mostVerbs = 40
    private static let mostPrograms = 400

    init(_ seen: Observations, _ within: Policy, _ anchors: PolicyAnchors, canHold: Bool) {
        self.within = within
        self.anchors = anchors
        if !canHold {
            open = "this host lets no exec be held for judging (kernel.yama.ptrace_scope)"
        } else if seen.hasMoreExecs {
            open = "more execs than are kept"
        } else if let tracer = seen.tracer {
            open = "\(LearnedText.program(tracer)) held another process as a debugger does, which rules would refuse"
        }
        for exec in seen.execs {
            if exec.program.text == nil {
                let line = "\(LearnedText.short(exec.program)): run, and a rule's words are text, which its name isn't"
                if !leftOut.contains(line) { leftOut.append(line) }
            } else if CommandShape.isUnnamed(exec.program) {
                open = open ?? "\(LearnedText.short(exec.program)) was run, which rules can't name"
            } else if !exec.wasAsked {
                add(exec)
            }
        }
        if programs.count > LearnedCommands.mostPrograms { open = open ?? "\(programs.count) programs were run" }
    }

    func put(into learned: inout LearnedPolicy) {
        if within.commands.unmatched == .deny {
            learned.reasons[.commandsDefault] = "kept: a list of what may run already"
            return
        }
        let stricter = within.commands.rules.filter { $0.decision != .allow }
        learned.policy.commands.rules = stricter
        if let open {
            learned.policy.commands.unmatched = .allow
            learned.reasons[.commandsDefault] = open
            return
        }
        var reasons = stricter.map { _ in "kept" }
        for program in programs.sorted(by: { $0.word.lexicographicallyPrecedes($1.word) }) {
            for rule in rules(of: program) {
                // What a stricter rule covers never ran by this one.
                if stricter.contains(where: { $0.pattern.covers(rule.pattern) }) { continue }
                learned.policy.commands.rules.append(rule)
                reasons.append(program.by.map { "run by \(LearnedText.program($0))" } ?? "the command")
            }
        }
        learned.leftOut += leftOut
        learned.policy.commands.unmatched = .deny
        learned.reasons[.commandsDefault] = "what else is executed is denied"
        learned.entryReasons[.commandsRule] = reasons
    }

    private mutating func add(_ exec: Observations.Exec) {
        let word = CommandShape.program(exec, anchors)
        let head = CommandShape.head(exec)
        guard let index = programs.firstIndex(where: { $0.word == word }) else {
            programs.append(Program(word: word, heads: [head], by: exec.by))
            return
        }
        if !programs[index].heads.contains(head) { programs[index].heads.append(head) }
    }

    private func rules(of program: Program) -> [CommandRule] {
        func rule(_ words: [[Bytes]]) -> CommandRule {
            CommandRule(
                pattern: CommandPattern(words: [[program.word]] + words), decision: .allow, reason: nil,
                origin: "learned")
        }
        let any = [CommandPattern.many]
        let most =
            CommandShape.hasVerbs(Path.name(program.word)) ? LearnedCommands.mostVerbs : LearnedCommands.mostHeads
        if program.heads.contains(where: { $0.words.isEmpty && $0.goesOn }) || program.heads.count > most {
            return [rule([any])]
        }
        var rules: [CommandRule] = []
        // Single words of one program are one rule's alternatives.
        var single: [Bytes] = []
        for head in program.heads where head.words.count == 1 && head.goesOn { single.append(head.words[0]) }
        if CommandShape.startsItself(program.word, single) {
            single += CommandShape.gitHelpers.filter { !single.contains($0) }
        }
        if !single.isEmpty { rules.append(rule([single.sorted { $0.lexicographicallyPrecedes($1) }, any])) }
        for head in program.heads where !(head.words.count == 1 && head.goesOn) {
            rules.append(rule(head.words.map { [$0] } + (head.goesOn ? [any] : [])))
        }
        return rules
    }
}
