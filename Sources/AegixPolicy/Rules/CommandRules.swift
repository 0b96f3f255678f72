// Pure. `[commands]`: rules as data, laid over one another and cut to a ceiling.

import AegixSystem

/// From the weakest to the strictest.
public enum CommandDecision: String, CaseIterable, Comparable, Sendable {
    case allow, approve, deny

    private var weight: Int {
        switch self {
        case .allow: 0
        case .approve: 1
        case .deny: 2
        }
    }

    public static func < (a: CommandDecision, b: CommandDecision) -> Bool { a.weight < b.weight }
}

public struct CommandRule: Equatable, Sendable {
    public var pattern: CommandPattern
    public var decision: CommandDecision
    public var reason: String?
    /// `policy.toml:14:1`
    public var origin: String

    /// Says the same, wherever it was written.
    func isSame(as other: CommandRule) -> Bool {
        pattern == other.pattern && decision == other.decision && reason == other.reason
    }

    /// `deny git push ** (policy.toml:14:1)`, as the record and messages name it.
    public var text: String { "\(decision.rawValue) \(patternText) (\(origin))" }

    public var patternText: String {
        pattern.words.map { word in word.map(\.shown).joined(separator: "|") }.joined(separator: " ")
    }

    /// A stricter rule that leaves nothing for this one to decide.
    static func cover(of rule: CommandRule, in rules: [CommandRule], at index: Int) -> CommandRule? {
        rules.enumerated().first {
            $0.offset != index && $0.element.decision > rule.decision
                && $0.element.pattern.covers(rule.pattern)
        }?.element
    }

    public var json: JSON {
        var members: [String: JSON] = [
            "argv": .array(
                pattern.words.map { word in
                    word.count == 1 ? .bytes(word[0]) : .array(word.map(JSON.bytes))
                }),
            "decision": .string(decision.rawValue),
        ]
        if let reason { members["reason"] = .string(reason) }
        return .object(members)
    }
}

extension Policy {
    public struct Commands: Equatable, Sendable {
        /// Of a program that no rule matches: allow or deny.
        public var unmatched = CommandDecision.allow
        public var rules: [CommandRule] = []

        public init() {}

        /// Whether an exec can come out as anything but allowed.
        public var judges: Bool { unmatched != .allow || rules.contains { $0.decision != .allow } }
        public var asks: Bool { rules.contains { $0.decision == .approve } }

        /// Rules add up: a later layer's come to what is there, and no layer can take one away.
        mutating func add(_ more: [CommandRule]) {
            rules += more.filter { rule in !rules.contains { $0.isSame(as: rule) } }
        }

        /// Why this allows what the other doesn't.
        func loosenings(beyond parent: Commands) -> [(key: PolicyKey, reason: String)] {
            var found: [(PolicyKey, String)] = []
            if unmatched < parent.unmatched { found.append((.commandsDefault, "\"allow\" is looser than \"deny\"")) }
            for rule in parent.rules where rule.decision != .allow {
                let isHeld =
                    rules.contains { $0.decision >= rule.decision && $0.pattern.covers(rule.pattern) }
                    || unmatched == .deny && !rules.contains { $0.decision < rule.decision }
                if !isHeld { found.append((.commandsRule, "leaves out the rule \(rule.text)")) }
            }
            if parent.unmatched == .deny {
                for rule in rules where rule.decision != .deny && !parent.permits(rule) {
                    found.append(
                        (.commandsRule, "the rule \(rule.text) isn't provably within what may run (default = \"deny\")")
                    )
                }
            }
            return found
        }

        /// Under a default of deny, only what a rule names runs.
        private func permits(_ rule: CommandRule) -> Bool {
            rules.contains { $0.decision <= rule.decision && $0.pattern.covers(rule.pattern) }
        }

        /// No more than either allows. Where the common part of two rules can't be written as one, it is asked about or denied.
        func cut(to ceiling: Commands) -> Commands {
            var both = Commands()
            both.unmatched = max(unmatched, ceiling.unmatched)
            both.add((rules + ceiling.rules).filter { $0.decision == .deny })
            switch (unmatched, ceiling.unmatched) {
            case (.allow, .allow): both.add(ceiling.rules + rules)
            case (.allow, _):
                let kept = rules.filter { $0.decision == .approve && ceiling.permits($0) }
                both.add(ceiling.mild(asking: rules.count { $0.decision == .approve } > kept.count) + kept)
            case (_, .allow): both.add(mild(asking: ceiling.asks))
            default: both.add(mild(asking: ceiling.asks).filter(ceiling.permits))
            }
            return both
        }

        /// What a rule lets run, with or without a question.
        private func mild(asking: Bool) -> [CommandRule] {
            rules.filter { $0.decision != .deny }.map { rule in
                var rule = rule
                if asking { rule.decision = .approve }
                return rule
            }
        }

        /// Paths as they are inside: `~/` is the home, and what else holds a slash is relative to the workspace.
        public func anchored(home: Bytes, workspace: Bytes) -> Commands {
            var out = self
            for index in out.rules.indices {
                guard var first = out.rules[index].pattern.words.first else { continue }
                first = first.map { word in
                    if !word.contains(Path.slash) || Path.isAbsolute(word) || word == CommandPattern.many {
                        return word
                    }
                    if word.starts(with: Bytes("~/")) { return Wildcard.escaped(home) + word.dropFirst(1) }
                    return Path.normalized(Path.join(Wildcard.escaped(workspace), word))
                }
                out.rules[index].pattern.words[0] = first
            }
            return out
        }
    }
}
