// Pure. TOML bytes ─► what they ask for, key by key, or everything that is wrong with them.

import AegixSystem

/// Reads one source. Stages: TOML, then each key against the schema, then its value. What isn't done here: `extends` isn't followed, and nothing is compared with another source.
public struct PolicyReader {
    let source: String
    /// Whether an error may show a value. Not for a file that the user didn't name: it may be no policy at all, and the
    /// error ends in a log (rule 15).
    let quotes: Bool
    var draft: PolicyDraft
    var errors: [PolicyError] = []

    public static func read(_ bytes: Bytes, source: String, quotes: Bool = true) throws(PolicyErrors) -> PolicyDraft {
        var reader = PolicyReader(source: source, quotes: quotes, draft: PolicyDraft(source: source))
        do {
            reader.document(try TOMLDocument.parse(bytes))
        } catch {
            let hint = "isn't valid TOML here; `aegix policy check` says what is wrong"
            throw PolicyErrors(source, error.position, quotes ? Bytes(error.message).shown : hint)
        }
        if reader.errors.isEmpty { return reader.draft }
        // A stable order of the text: errors of one place stay in the order in which they were found.
        let ordered = reader.errors.enumerated().sorted {
            let (a, b) = (
                $0.element.position ?? Position(line: 0, column: 0), $1.element.position ?? Position(line: 0, column: 0)
            )
            return a == b ? $0.offset < $1.offset : a < b
        }
        throw PolicyErrors(ordered.map(\.element))
    }

    mutating func fail(_ position: Position, _ message: String) {
        // A hostile file may hold a hundred thousand mistakes.
        if errors.count < 100 { errors.append(PolicyError(file: source, position: position, message: message)) }
    }

    private mutating func document(_ root: TOMLNode) {
        guard case .table(let members) = root.value else { return }
        if !members.contains(where: { $0.key == "version" }) {
            fail(Position(line: 1, column: 1), "`version` is missing. A policy begins with `version = 1`")
        }
        for member in members {
            if let key = Schema.top.first(where: { $0.name == member.key }) {
                setting(key, path: member.key, member.node)
            } else if let table = Schema.tables.first(where: { $0.name == member.key }) {
                self.table(table, member.node)
            } else {
                unknown(member, among: Schema.top.map(\.name) + Schema.tables.map(\.name), in: nil)
            }
        }
        overlap()
        contradictions()
    }

    private mutating func table(_ table: SchemaTable, _ node: TOMLNode) {
        guard case .table(let members) = node.value else {
            return fail(
                node.position,
                "`\(table.name)` is \(node.kind), and must be a table: write [\(table.name)] above its keys")
        }
        // An empty table says that there are none.
        if table.entries?.type.isSecrets == true {
            draft.settings[.secrets] = Setting(
                value: .secrets([:]), position: members.first?.keyPosition ?? node.position)
        }
        for member in members {
            if let key = table.keys.first(where: { $0.name == member.key }) {
                setting(key, path: "\(table.name).\(member.key)", member.node)
            } else if let entries = table.entries {
                entry(entries, member, in: table)
            } else {
                unknown(member, among: table.keys.map(\.name), in: table)
            }
        }
    }

    private mutating func setting(_ key: SchemaKey, path: String, _ node: TOMLNode) {
        guard let value = value(node, key.type, path: path) else { return }
        if let known = PolicyKey(rawValue: path) {
            draft.settings[known] = Setting(value: value, position: node.position)
        } else if path == "name", case .word(let word) = value {
            draft.name = word
        } else if path == "extends", case .word(let word) = value {
            draft.extends = word
            draft.extendsPosition = node.position
        }
    }

    /// A key of the user's own, such as a secret's name.
    private mutating func entry(_ entry: SchemaKey, _ member: TOMLNode.Member, in table: SchemaTable) {
        let path = "\(table.name).\(shown(key: member.key))"
        if !EnvironmentName.isValid(member.key) {
            fail(member.keyPosition, "\(path) isn't a name of a variable: letters, digits and _, no digit first")
        }
        guard case .secrets(let found)? = value(member.node, entry.type, path: path), let source = found.values.first,
            case .secrets(var secrets)? = draft.settings[.secrets]?.value
        else { return }
        secrets[member.key] = source
        draft.settings[.secrets]?.value = .secrets(secrets)
    }

    private mutating func unknown(_ member: TOMLNode.Member, among names: [String], in table: SchemaTable?) {
        let place = table.map { "in [\($0.name)]" } ?? "at the top of the policy"
        let message = "unknown key \(shown(key: member.key)) \(place)"
        if let near = Spelling.nearest(member.key, in: names) {
            fail(member.keyPosition, "\(message). Did you mean `\(near)`?")
        } else if let home = Schema.tables.first(where: { $0.keys.contains { $0.name == member.key } }) {
            fail(member.keyPosition, "\(message). It belongs in [\(home.name)]")
        } else {
            fail(member.keyPosition, "\(message). Allowed: \(names.joined(separator: ", "))")
        }
    }

    /// A rule could be read either way, and a later layer that drops one of the two would gain the other.
    private mutating func overlap() {
        guard case .paths(let read)? = draft.settings[.filesRead]?.value, let write = draft.settings[.filesWrite],
            case .paths(let written) = write.value
        else { return }
        for rule in written where read.contains(where: { $0.pattern == rule.pattern }) {
            let name = quotes ? "`\(rule.pattern.shown)`" : "a path"
            fail(write.position, "\(name) is in files.read and in files.write; keep the one that is meant")
        }
    }

    /// Rules that can't be meant together. A list that a later layer inherits is no contradiction: only one text is looked at.
    private mutating func contradictions() {
        func rules(_ key: PolicyKey) -> [Policy.HostRule] {
            guard case .hosts(let rules)? = draft.settings[key]?.value else { return [] }
            return rules
        }
        let (allow, deny) = (rules(.networkAllow), rules(.networkDeny))
        let allowed = draft.settings[.networkAllow]?.position
        if let allowed, case .word(let mode)? = draft.settings[.networkMode]?.value, !allow.isEmpty {
            if mode == "none" {
                fail(
                    allowed,
                    "network.allow lists hosts, and network.mode = \"none\" lets nothing through. Write mode = \"allow\""
                )
            } else if mode == "host" {
                fail(
                    allowed,
                    "network.allow lists hosts, and network.mode = \"host\" lets everything through. Keep one of them")
            }
        }
        if let unknown = draft.settings[.networkUnknown], case .word("approve") = unknown.value,
            case .word(let mode)? = draft.settings[.networkMode]?.value, mode == "guarded" || mode == "host"
        {
            fail(
                unknown.position,
                "network.unknown = \"approve\" asks nobody where network.mode = \"\(mode)\" lets every name through. Write "
                    + "mode = \"allow\", or leave it out")
        }
        for rule in allow {
            guard let other = deny.first(where: { $0.pattern.deniesWhole(rule.pattern) }) else { continue }
            let name = quotes ? "\"\(rule.pattern.text)\"" : "a host"
            fail(
                allowed ?? Position(line: 1, column: 1),
                "network.allow: \(name) is denied whole by network.deny (\(other.origin)); keep the one that is meant")
        }
    }

    /// A key's name in an error: as it is when it looks like one, else not at all.
    func shown(key: String) -> String {
        let plausible =
            !key.isEmpty && key.utf8.count <= 40
            && key.utf8.allSatisfy { byte in
                (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                    || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "-")
            }
        if plausible { return "`\(key)`" }
        return quotes ? "`\(Bytes(key.prefix(40).description).shown)`" : "(its name isn't shown)"
    }
}

/// Names of environment variables.
enum EnvironmentName {
    static func isValid(_ name: String) -> Bool {
        guard let first = name.utf8.first, !(0x30...0x39).contains(first), name.utf8.count <= 255 else { return false }
        return name.utf8.allSatisfy { byte in
            (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                || byte == UInt8(ascii: "_")
        }
    }

    /// With a trailing star for any ending. A star alone would pass on every secret of the caller, so it isn't one.
    static func isPattern(_ name: String) -> Bool { isValid(name.hasSuffix("*") ? String(name.dropLast()) : name) }

    static func covers(_ pattern: String, _ name: String) -> Bool {
        guard pattern.hasSuffix("*") else { return pattern == name }
        let stem = pattern.dropLast()
        return name.hasSuffix("*") ? name.dropLast().hasPrefix(stem) : name.hasPrefix(stem)
    }
}
