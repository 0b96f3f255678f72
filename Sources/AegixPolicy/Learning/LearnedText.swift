// Pure. A learned policy as TOML that a person reads, and the proof that it says what was meant.

import AegixSystem

public enum LearnedText {
    private static let mostNotes = 60

    /// - notes: what else a reader should know, a line each.
    public static func toml(_ learned: LearnedPolicy, head: [String], refused: [String]) throws(Failure) -> Bytes {
        var out = Bytes()
        for line in head { comment(line, into: &out) }
        list("Not in it, and why:", learned.leftOut, into: &out)
        list("Refused while it was learned:", refused, into: &out)
        out += "version = 1\nname = ".utf8
        PolicyText.quote(learned.policy.name, into: &out)
        out += "\n".utf8
        var table: Policy.Table?
        let plain = Policy()
        for key in PolicyKey.allCases where key != .secrets {
            let isLearned = learned.reasons[key] != nil || learned.entryReasons[key].map { !$0.isEmpty } ?? false
            if !isLearned, learned.policy.value(of: key) == plain.value(of: key) { continue }
            if key.table != table, let name = key.table {
                out += "\n[\(name.rawValue)]\n".utf8
                table = name
            }
            if key == .commandsRule { continue }
            write(key, learned, into: &out)
            if key == .commandsDefault { continue }
        }
        rules(learned, into: &out)
        try prove(out, learned.policy)
        return out
    }

    private static func write(_ key: PolicyKey, _ learned: LearnedPolicy, into out: inout Bytes) {
        let value = learned.policy.value(of: key)
        let entries = items(value, of: key)
        let why = learned.reasons[key] ?? "kept: a run can't show the need for it"
        out += "\(key.name) = ".utf8
        guard !entries.isEmpty else {
            PolicyText.write(value, of: key, into: &out)
            out += "  # ".utf8
            return comment(why, mark: "", into: &out)
        }
        out += "[\n".utf8
        let reasons = learned.entryReasons[key] ?? []
        for (index, entry) in entries.enumerated() {
            out += "    \(entry),  # ".utf8
            comment(index < reasons.count ? reasons[index] : why, mark: "", into: &out)
        }
        out += "]\n".utf8
    }

    /// The entries of a list that is written a line each, in TOML.
    static func items(_ value: Setting.Value, of key: PolicyKey) -> [String] {
        let entries: [Setting.Value]
        switch value {
        case .paths(let rules): entries = rules.map { .paths([$0]) }
        case .hosts(let rules): entries = rules.map { .hosts([$0]) }
        case .rules(let rules): entries = rules.map { .rules([$0]) }
        default: return []
        }
        // Without the brackets of their list.
        return entries.map { String(PolicyText.toml($0, of: key).dropFirst().dropLast()) }
    }

    private static func rules(_ learned: LearnedPolicy, into out: inout Bytes) {
        let reasons = learned.entryReasons[.commandsRule] ?? []
        for (index, rule) in learned.policy.commands.rules.enumerated() {
            out += "\n[[commands.rule]]  # ".utf8
            comment(index < reasons.count ? reasons[index] : "kept", mark: "", into: &out)
            out += "argv = ".utf8
            PolicyText.write(rule.pattern, into: &out)
            out += "\ndecision = ".utf8
            PolicyText.quote(rule.decision.rawValue, into: &out)
            if let reason = rule.reason {
                out += "\nreason = ".utf8
                PolicyText.quote(reason, into: &out)
            }
            out += "\n".utf8
        }
    }

    private static func list(_ title: String, _ lines: [String], into out: inout Bytes) {
        if lines.isEmpty {
            out += "\n".utf8
            return
        }
        out += "#\n".utf8
        comment(title, into: &out)
        for line in lines.prefix(mostNotes) { comment("- " + line, into: &out) }
        if lines.count > mostNotes { comment("- and \(lines.count - mostNotes) more", into: &out) }
        out += "\n".utf8
    }

    /// One line whatever is in it: control characters, line breaks of Unicode and invalid UTF-8 are made visible.
    private static func comment(_ line: String, mark: String = "# ", into out: inout Bytes) {
        out += (mark + Bytes(line).shown + "\n").utf8
    }

    /// Whatever names the text was made of, reading it has to give the policy that was meant.
    private static func prove(_ text: Bytes, _ wanted: Policy) throws(Failure) {
        let source = "learned"
        let policy: Policy
        do {
            let chain = try PolicyChain.load(PolicySource(name: source, bytes: text)) { _, _, _ throws(Failure) in
                throw Failure("learn.text", "the learned policy extends another one")
            }
            policy = try LayeredPolicy(chain, anchors: .init(home: nil, workspace: nil)).policy
        } catch {
            throw Failure(
                "learn.text", "what was learned can't be written as a policy: \(reason(error))", exitCode: 123)
        }
        let differs =
            policy.name != wanted.name
            || PolicyKey.allCases.contains { key in
                PolicyText.toml(policy.value(of: key), of: key) != PolicyText.toml(wanted.value(of: key), of: key)
            }
        if differs {
            throw Failure(
                "learn.text", "what was learned can't be written as a policy: it reads as another one", exitCode: 123)
        }
    }

    private static func reason(_ error: any Error) -> String {
        if let errors = error as? PolicyErrors { return errors.failure.message }
        return (error as? Failure)?.message ?? "it can't be read"
    }

    // MARK: - Words

    /// A program by its name.
    public static func program(_ path: Bytes) -> String { short(Path.name(path)) }

    public static func short(_ bytes: Bytes) -> String {
        let shown = bytes.prefix(400)
        return Bytes(shown).shown + (bytes.count > shown.count ? "…" : "")
    }

    static func seconds(_ nanoseconds: UInt64) -> String {
        let tenths = nanoseconds / 100_000_000
        return "\(tenths / 10).\(tenths % 10) s"
    }
}
