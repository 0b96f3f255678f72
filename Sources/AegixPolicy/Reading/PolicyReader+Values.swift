// Pure. One value of a policy: its type, what it may be, and what an error says is allowed.

import AegixSystem

extension PolicyReader {
    /// Nil after an error was noted.
    mutating func value(_ node: TOMLNode, _ type: ValueType, path: String) -> Setting.Value? {
        switch type {
        case .version:
            if case .integer(1) = node.value { return .word("1") }
            return wrong(node, path, "must be 1, the only version of the format that there is")
        case .name:
            guard let text = string(node, path) else { return nil }
            let visible = text.unicodeScalars.allSatisfy { $0.value > 0x20 && Bytes(String($0)).shown == String($0) }
            if visible, (1...64).contains(text.utf8.count) { return .word(text) }
            return wrong(node, path, "must be 1 to 64 visible characters without spaces")
        case .text: return string(node, path).map { .word($0) }
        case .flag:
            if case .boolean(let flag) = node.value { return .flag(flag) }
            return wrong(node, path, "must be true or false")
        case .choice(let words):
            guard let word = string(node, path, allowed: Self.list(words)) else { return nil }
            return choice(word, words, node, path) ? .word(word) : nil
        case .choices(let words):
            guard let items = strings(node, path) else { return nil }
            let good = items.filter { choice($0.text, words, $0.node, path) }
            return good.count == items.count ? .words(good.map(\.text)) : nil
        case .integer(let range):
            if case .string("none") = node.value { return .amount(nil) }
            if case .integer(let number) = node.value, range.contains(number) { return .amount(UInt64(number)) }
            let most = range.upperBound == Int.max ? "" : " to \(range.upperBound)"
            return wrong(node, path, "must be a whole number from \(range.lowerBound)\(most), or \"none\"")
        case .hostname:
            guard let text = string(node, path) else { return nil }
            if text.isEmpty || Hostname.isValid(text) { return .word(text) }
            return wrong(node, path, "must be \(Hostname.allowed)")
        case .instant:
            guard let text = string(node, path) else { return nil }
            if text.isEmpty || Instant.parse(text) != nil { return .word(text) }
            return wrong(node, path, "must be \(Instant.allowed), or \"\" for a clock that goes on")
        case .processors: return processors(node, path)
        case .duration(let orNone): return amount(node, path, orNone, TimeSpan.allowed, TimeSpan.parse, integers: false)
        case .size(let orNone): return amount(node, path, orNone, ByteSize.allowed, ByteSize.parse, integers: true)
        case .count(let orNone):
            return amount(node, path, orNone, "a whole number from 1", { _ in nil }, integers: true)
        case .paths: return paths(node, path)
        case .inside: return inside(node, path)
        case .environmentNames:
            return each(node, path) { text in
                EnvironmentName.isPattern(text)
                    ? nil : "isn't a name of a variable, or the beginning of one with a trailing *"
            }
        case .environment: return environment(node, path)
        case .secrets:
            if let source = secret(node) { return .secrets([path: source]) }
            // What stands there may be the value.
            fail(
                node.position,
                "\(path) must be \"env:VARIABLE\" or \"file:PATH\", or { from = \"…\", file = true } with one of them: a "
                    + "policy doesn't hold the value itself")
            return nil
        case .capabilities: return capabilities(node, path)
        case .hosts: return hosts(node, path)
        case .resolvers:
            return each(node, path, { ResolverAddress($0) == nil ? "isn't the address of a name server" : nil })
        case .words: return strings(node, path).map { .words($0.map(\.text)) }
        case .pattern: return nil  // only within a rule, which reads it itself
        case .rules: return rules(node, path)
        }
    }

    /// `PATH is "what was found", and must be …`
    mutating func wrong(_ node: TOMLNode, _ path: String, _ rule: String) -> Setting.Value? {
        fail(node.position, "\(path) is \(found(node)), and \(rule)")
        return nil
    }

    func found(_ node: TOMLNode) -> String {
        guard quotes else { return node.kind }
        switch node.value {
        case .string(let text): return "\"\(Bytes(String(text.prefix(60))).shown)\""
        case .integer(let number): return String(number)
        case .float(let number): return String(number)
        case .boolean(let flag): return String(flag)
        default: return node.kind
        }
    }

    mutating func string(_ node: TOMLNode, _ path: String, allowed: String = "a string") -> String? {
        if case .string(let text) = node.value, !text.utf8.contains(0) { return text }
        _ = wrong(node, path, "must be \(allowed)")
        return nil
    }

    mutating func strings(_ node: TOMLNode, _ path: String) -> [(text: String, node: TOMLNode)]? {
        guard case .array(let items) = node.value else {
            _ = wrong(node, path, "must be a list of strings, such as [\"…\"]")
            return nil
        }
        let texts = items.compactMap { item in string(item, path).map { ($0, item) } }
        return texts.count == items.count ? texts : nil
    }

    private mutating func each(
        _ node: TOMLNode, _ path: String, _ defect: (String) -> String?, allowed: String? = nil
    ) -> Setting.Value? {
        guard let items = strings(node, path) else { return nil }
        var good = true
        for item in items {
            guard let reason = defect(item.text) else { continue }
            good = false
            let rule = allowed.map { ". Allowed: \($0)" } ?? ""
            fail(item.node.position, "\(path): \(found(item.node)) \(reason)\(rule)")
        }
        return good ? .words(items.map(\.text)) : nil
    }

    private mutating func choice(_ word: String, _ words: [String], _ node: TOMLNode, _ path: String) -> Bool {
        if words.contains(word) { return true }
        let near = Spelling.nearest(word, in: words).map { ". Did you mean \"\($0)\"?" } ?? ""
        _ = wrong(node, path, "must be \(Self.list(words))\(near)")
        return false
    }

    private static func list(_ words: [String]) -> String {
        words.count == 1
            ? "\"\(words[0])\""
            : words.dropLast().map { "\"\($0)\"" }.joined(separator: ", ") + " or \"\(words[words.count - 1])\""
    }

    private mutating func amount(
        _ node: TOMLNode, _ path: String, _ orNone: Bool, _ allowed: String, _ parse: (String) -> UInt64?,
        integers: Bool
    ) -> Setting.Value? {
        let none = orNone ? ", or \"none\" or 0 for no limit" : ""
        var amount: UInt64?
        switch node.value {
        case .string("none") where orNone: return .amount(nil)
        case .string(let text): amount = parse(text)
        case .integer(let number) where number == 0 || integers: amount = UInt64(exactly: number)
        default: break
        }
        guard let amount else { return wrong(node, path, "must be \(allowed)\(none)") }
        return .amount(amount == 0 && orNone ? nil : amount)
    }

    private mutating func processors(_ node: TOMLNode, _ path: String) -> Setting.Value? {
        var amount: UInt64?
        switch node.value {
        case .string("none"): return .amount(nil)
        case .integer(let number): amount = Processors.parse(String(number))
        case .float(let number) where number >= 0.01 && number <= 4096:
            amount = UInt64((number * 1000).rounded(.toNearestOrEven))
        default: break
        }
        guard let amount else {
            return wrong(node, path, "must be \(Processors.allowed), or \"none\" or 0 for no limit")
        }
        return .amount(amount == 0 ? nil : amount)
    }

    private mutating func paths(_ node: TOMLNode, _ path: String) -> Setting.Value? {
        guard case .array(let items) = node.value else {
            return wrong(node, path, "must be a list of paths, such as [\"/opt/python\"]")
        }
        var rules: [Policy.PathRule] = []
        // A stranger's policy may have ten thousands. For a few, a set would only cost the making of its type.
        var seen: Set<Bytes> = []
        for item in items {
            guard let bytes = bytes(item, path) else { continue }
            let place = "\(source):\(item.position.line):\(item.position.column)"
            do {
                let text = try PathPattern(bytes).text
                let isNew =
                    items.count > 64 ? seen.insert(text).inserted : !rules.contains { $0.pattern == text }
                if isNew { rules.append(Policy.PathRule(pattern: text, origin: place)) }
            } catch {
                fail(item.position, "\(path): \(found(item)) \(error.reason)")
            }
        }
        return .paths(rules)
    }

    /// A string, or `{ base64 = "…" }` for bytes that no TOML string can hold.
    private mutating func bytes(_ node: TOMLNode, _ path: String) -> Bytes? {
        if case .table(let members) = node.value, members.count == 1, members[0].key == "base64",
            case .string(let text) = members[0].node.value, let bytes = Base64.decode(text), !bytes.contains(0)
        {
            return bytes
        }
        return string(node, path, allowed: "a string, or { base64 = \"…\" } for bytes that aren't UTF-8").map {
            Bytes($0)
        }
    }

    private mutating func inside(_ node: TOMLNode, _ path: String) -> Setting.Value? {
        var texts: [String] = []
        guard let items = strings(node, path) else { return nil }
        for item in items {
            do {
                let pattern = try InsidePattern.parse(Bytes(item.text))
                texts.append(String(decoding: pattern.text, as: UTF8.self))
            } catch {
                fail(item.node.position, "\(path): \(found(item.node)) \(error.reason)")
            }
        }
        return .words(texts)
    }

    private mutating func hosts(_ node: TOMLNode, _ path: String) -> Setting.Value? {
        guard let items = strings(node, path) else { return nil }
        var rules: [Policy.HostRule] = []
        var good = true
        for item in items {
            do throws(HostPattern.Defect) {
                let pattern = try HostPattern(item.text)
                let place = "\(source):\(item.node.position.line):\(item.node.position.column)"
                if !rules.contains(where: { $0.pattern == pattern }) { rules.append(.init(pattern, origin: place)) }
            } catch {
                good = false
                fail(
                    item.node.position, "\(path): \(found(item.node)) \(error.reason). Allowed: \(HostPattern.allowed)")
            }
        }
        return good ? .hosts(rules) : nil
    }

    private func secret(_ node: TOMLNode) -> Policy.SecretSource? {
        switch node.value {
        case .string(let text): return Policy.SecretSource(Bytes(text))
        case .table(let members):
            var (from, isFile) = (Bytes?.none, false)
            for member in members {
                switch (member.key, member.node.value) {
                case ("from", .string(let text)): from = Bytes(text)
                case ("file", .boolean(let flag)): isFile = flag
                default: return nil
                }
            }
            return from.flatMap { Policy.SecretSource($0, isFile: isFile) }
        default: return nil
        }
    }

    private mutating func environment(_ node: TOMLNode, _ path: String) -> Setting.Value? {
        guard case .table(let members) = node.value else {
            return wrong(node, path, "must be a table of variables, such as { TZ = \"UTC\" }")
        }
        var bindings: [String: Bytes] = [:]
        for member in members {
            let name = "\(path).\(shown(key: member.key))"
            if !EnvironmentName.isValid(member.key) {
                fail(member.keyPosition, "\(name) isn't a name of a variable: letters, digits and _, no digit first")
            } else if let value = bytes(member.node, name) {
                bindings[member.key] = value
            }
        }
        return .bindings(bindings)
    }

    private mutating func capabilities(_ node: TOMLNode, _ path: String) -> Setting.Value? {
        guard let items = strings(node, path) else { return nil }
        var names: [String] = []
        for item in items {
            if let name = Capability.name(item.text) {
                if !names.contains(name) { names.append(name) }
            } else {
                let near = Capability.nearest(item.text).map { ". Did you mean \"\($0)\"?" } ?? ""
                fail(item.node.position, "\(path): \(found(item.node)) isn't a capability\(near)")
            }
        }
        return .words(names)
    }
}
