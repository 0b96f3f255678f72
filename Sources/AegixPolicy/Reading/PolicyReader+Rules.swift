// Pure. `[[commands.rule]]`: each checked on its own, against its examples, and against the stricter ones around it.

import AegixSystem

extension PolicyReader {
    /// Bounds what one exec costs to judge.
    private static let mostRules = 1000
    private static let mostWords = 64

    mutating func rules(_ node: TOMLNode, _ path: String) -> Setting.Value? {
        guard case .array(let items) = node.value else {
            return wrong(node, path, "must be tables: write [[commands.rule]] above each")
        }
        if items.count > Self.mostRules {
            fail(items[Self.mostRules].position, "more than \(Self.mostRules) command rules")
            return nil
        }
        var good: [(rule: CommandRule, node: TOMLNode)] = []
        for item in items { if let rule = rule(item, path) { good.append((rule, item)) } }
        for (index, one) in good.enumerated() {
            guard let other = CommandRule.cover(of: one.rule, in: good.map(\.rule), at: index) else { continue }
            let same = other.pattern == one.rule.pattern ? "has the same pattern" : "matches all that it matches"
            fail(
                one.node.position,
                "this rule never decides: the \(other.decision.rawValue) rule at \(other.origin) \(same), and the strictest "
                    + "match wins")
        }
        return good.count == items.count ? .rules(good.map(\.rule)) : nil
    }

    private mutating func rule(_ node: TOMLNode, _ path: String) -> CommandRule? {
        guard case .table(let members) = node.value else {
            _ = wrong(node, path, "must be a table with argv and decision")
            return nil
        }
        var examples: [(text: String, node: TOMLNode, wanted: Bool)] = []
        var pattern: CommandPattern?
        var decision: CommandDecision?
        var reason: String?
        let before = errors.count
        for member in members {
            let place = "\(path).\(member.key)"
            switch member.key {
            case "argv": pattern = self.pattern(member.node, place)
            case "match", "not_match":
                examples += (strings(member.node, place) ?? []).map { ($0.text, $0.node, member.key == "match") }
            default:
                guard let key = Schema.rule.first(where: { $0.name == member.key }) else {
                    unknownInRule(member)
                    continue
                }
                guard case .word(let word)? = value(member.node, key.type, path: place) else { continue }
                if member.key == "decision" { decision = CommandDecision(rawValue: word) } else { reason = word }
            }
        }
        for needed in ["argv", "decision"] where !members.contains(where: { $0.key == needed }) {
            fail(node.position, "a [[commands.rule]] without `\(needed)`")
        }
        guard let pattern else { return nil }
        for example in examples { check(example.node, example.text, wanted: example.wanted, pattern) }
        guard let decision, errors.count == before else { return nil }
        return CommandRule(
            pattern: pattern, decision: decision, reason: reason,
            origin: "\(source):\(node.position.line):\(node.position.column)")
    }

    private mutating func unknownInRule(_ member: TOMLNode.Member) {
        let names = Schema.rule.map(\.name)
        let near = Spelling.nearest(member.key, in: names).map { "Did you mean `\($0)`?" }
        fail(
            member.keyPosition,
            "unknown key \(shown(key: member.key)) in [[commands.rule]]. "
                + (near ?? "Allowed: \(names.joined(separator: ", "))"))
    }

    private mutating func pattern(_ node: TOMLNode, _ path: String) -> CommandPattern? {
        guard case .array(let items) = node.value else {
            _ = wrong(node, path, "must be a list of words, such as [\"git\", [\"push\", \"fetch\"], \"**\"]")
            return nil
        }
        if items.isEmpty || items.count > Self.mostWords {
            let fault = items.isEmpty ? "is empty, and matches nothing" : "has more than \(Self.mostWords) words"
            fail(node.position, "\(path) \(fault)")
            return nil
        }
        var words: [[Bytes]] = []
        for (index, item) in items.enumerated() {
            var alternatives: [(text: String, node: TOMLNode)]
            if case .array = item.value {
                guard let texts = strings(item, path) else { continue }
                if texts.isEmpty || texts.count > Self.mostWords {
                    fail(item.position, "\(path): a list of alternatives holds 1 to \(Self.mostWords) words")
                    continue
                }
                alternatives = texts
            } else {
                guard let text = string(item, path, allowed: "a string, or a list of alternatives") else { continue }
                alternatives = [(text, item)]
            }
            var good = true
            for word in alternatives {
                guard
                    let reason = CommandPattern.defect(
                        word.text, isProgram: index == 0, isAlone: alternatives.count == 1)
                else { continue }
                fail(word.node.position, "\(path): \(found(word.node)) \(reason)")
                good = false
            }
            if good { words.append(alternatives.map { Bytes($0.text) }) }
        }
        return words.count == items.count ? CommandPattern(words: words) : nil
    }

    private mutating func check(_ node: TOMLNode, _ text: String, wanted: Bool, _ pattern: CommandPattern) {
        let key = wanted ? "match" : "not_match"
        guard let words = CommandPattern.split(text) else {
            return fail(node.position, "commands.rule.\(key): \(found(node)) has a quote that doesn't end")
        }
        if words.isEmpty { return fail(node.position, "commands.rule.\(key): \(found(node)) holds no command") }
        if pattern.matches(words) == wanted { return }
        let verb = wanted ? "doesn't match" : "matches"
        fail(node.position, "commands.rule.\(key): the rule \(verb) \(found(node))")
    }
}
