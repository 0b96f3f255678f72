// Pure. A policy as keys and values: what merging, comparing and printing have in common.

import AegixSystem

extension Policy {
    func value(of key: PolicyKey) -> Setting.Value {
        switch key {
        case .require: .word(require.name)
        case .lock: .words(Table.allCases.filter(lock.contains).map(\.rawValue))
        case .identityUser: .word(identity.rawValue)
        case .workspaceBacking: .word(workspace.backing.rawValue)
        case .workspaceKeep: .words(Workspace.Kept.allCases.filter(workspace.keep.contains).map(\.rawValue))
        case .workspaceSandbox: .word(workspace.sandbox.rawValue)
        case .workspaceMode: .word(workspace.mode.rawValue)
        case .workspaceProtect: .words(workspace.protect)
        case .filesRead: .paths(files.read)
        case .filesWrite: .paths(files.write)
        case .filesDeny: .paths(files.deny)
        case .networkMode: .word(network.mode.rawValue)
        case .networkAllow: .hosts(network.allow)
        case .networkDeny: .hosts(network.deny)
        case .networkUnknown: .word(network.unknown.rawValue)
        case .networkInspect: .flag(network.inspect)
        case .networkResolvers: .words(network.resolvers)
        case .commandsDefault: .word(commands.unmatched.rawValue)
        case .commandsRule: .rules(commands.rules)
        case .wall: .amount(limits.wall)
        case .grace: .amount(limits.grace)
        case .cpuTime: .amount(limits.cpuTime)
        case .cpus: .amount(limits.cpus)
        case .memory: .amount(limits.memory)
        case .pids: .amount(limits.pids)
        case .disk: .amount(limits.disk)
        case .output: .amount(limits.output)
        case .onOutput: .word(limits.onOutput.rawValue)
        case .openFiles: .amount(limits.openFiles)
        case .execs: .amount(limits.execs)
        case .envPass: .words(env.pass)
        case .envSet: .bindings(env.set)
        case .secrets: .secrets(secrets)
        case .capabilities: .words(capabilities)
        case .artifactsCollect: .words(artifacts.collect)
        case .artifactsMaxBytes: .amount(artifacts.maxBytes)
        case .approvalVia: .word(approval.via.rawValue)
        case .approvalCommand: .words(approval.command)
        case .approvalTimeout: .amount(approval.timeout)
        case .detail: .word(audit.detail.rawValue)
        case .durable: .flag(audit.durable)
        case .inputs: .word(audit.inputs.rawValue)
        case .sign: .word(audit.sign)
        case .pinnedHostname: .word(determinism.hostname)
        case .seed: .amount(determinism.seed)
        case .pinnedProcessors: .amount(determinism.cpus)
        case .addressRandomness: .flag(determinism.aslr)
        case .pinnedEnvironment: .flag(determinism.env)
        case .clock: .word(determinism.clock)
        }
    }

    /// The reader has checked type and range of every value, so one that doesn't fit is a mistake of ours.
    mutating func set(_ key: PolicyKey, _ value: Setting.Value) {
        switch (key, value) {
        case (.require, .word(let word)): Tier(name: word).map { require = $0 }
        case (.lock, .words(let words)): lock = Set(words.compactMap(Table.init(rawValue:)))
        case (.identityUser, .word(let word)): Identity(rawValue: word).map { identity = $0 }
        case (.workspaceBacking, .word(let word)): Workspace.Backing(rawValue: word).map { workspace.backing = $0 }
        case (.workspaceKeep, .words(let words)):
            workspace.keep = Set(words.compactMap(Workspace.Kept.init(rawValue:)))
        case (.workspaceSandbox, .word(let word)): Workspace.Lifetime(rawValue: word).map { workspace.sandbox = $0 }
        case (.workspaceMode, .word(let word)): Workspace.Mode(rawValue: word).map { workspace.mode = $0 }
        case (.workspaceProtect, .words(let words)): workspace.protect = words
        case (.filesRead, .paths(let rules)): files.read = rules
        case (.filesWrite, .paths(let rules)): files.write = rules
        case (.filesDeny, .paths(let rules)): files.deny = rules
        case (.networkMode, .word(let word)): Network.Mode(rawValue: word).map { network.mode = $0 }
        case (.networkAllow, .hosts(let rules)): network.allow = rules
        case (.networkDeny, .hosts(let rules)): network.deny = rules
        case (.networkUnknown, .word(let word)): Network.Unknown(rawValue: word).map { network.unknown = $0 }
        case (.networkInspect, .flag(let flag)): network.inspect = flag
        case (.networkResolvers, .words(let words)): network.resolvers = words
        case (.commandsDefault, .word(let word)): CommandDecision(rawValue: word).map { commands.unmatched = $0 }
        case (.commandsRule, .rules(let rules)): commands.rules = rules
        case (.wall, .amount(let amount)): limits.wall = amount
        case (.grace, .amount(let amount)): limits.grace = amount ?? 0
        case (.cpuTime, .amount(let amount)): limits.cpuTime = amount
        case (.cpus, .amount(let amount)): limits.cpus = amount
        case (.memory, .amount(let amount)): limits.memory = amount
        case (.pids, .amount(let amount)): limits.pids = amount
        case (.disk, .amount(let amount)): limits.disk = amount
        case (.output, .amount(let amount)): limits.output = amount
        case (.onOutput, .word(let word)): Limits.OnOutput(rawValue: word).map { limits.onOutput = $0 }
        case (.openFiles, .amount(let amount)): limits.openFiles = amount
        case (.execs, .amount(let amount)): limits.execs = amount
        case (.envPass, .words(let words)): env.pass = words
        case (.envSet, .bindings(let bindings)): env.set = bindings
        case (.secrets, .secrets(let sources)): secrets = sources
        case (.capabilities, .words(let words)): capabilities = words
        case (.artifactsCollect, .words(let words)): artifacts.collect = words
        case (.artifactsMaxBytes, .amount(let amount)): artifacts.maxBytes = amount ?? 0
        case (.approvalVia, .word(let word)): Approval.Via(rawValue: word).map { approval.via = $0 }
        case (.approvalCommand, .words(let words)): approval.command = words
        case (.approvalTimeout, .amount(let amount)): approval.timeout = amount ?? 0
        case (.detail, .word(let word)): Audit.Detail(rawValue: word).map { audit.detail = $0 }
        case (.durable, .flag(let flag)): audit.durable = flag
        case (.inputs, .word(let word)): Audit.Inputs(rawValue: word).map { audit.inputs = $0 }
        case (.sign, .word(let word)): audit.sign = word
        case (.pinnedHostname, .word(let word)): determinism.hostname = word
        case (.seed, .amount(let amount)): determinism.seed = amount
        case (.pinnedProcessors, .amount(let amount)): determinism.cpus = amount
        case (.addressRandomness, .flag(let flag)): determinism.aslr = flag
        case (.pinnedEnvironment, .flag(let flag)): determinism.env = flag
        case (.clock, .word(let word)): determinism.clock = word
        default: preconditionFailure("\(key.rawValue) got a value of another type")
        }
    }
}

/// How a value of a key is written in TOML.
enum PolicyText {
    static func toml(_ value: Setting.Value, of key: PolicyKey) -> String {
        var out = Bytes()
        write(value, of: key, into: &out)
        return String(decoding: out, as: UTF8.self)
    }

    /// Into one buffer: this is on the way of every run.
    static func write(_ value: Setting.Value, of key: PolicyKey, into out: inout Bytes) {
        switch value {
        case .word(let word): quote(word, into: &out)
        case .words(let words): list(words, "[", ", ", "]", into: &out) { quote($0, into: &$1) }
        case .flag(let flag): out += (flag ? "true" : "false").utf8
        case .amount(nil): quote("none", into: &out)
        case .amount(let amount?):
            switch key {
            case .wall, .grace, .cpuTime, .approvalTimeout: quote(TimeSpan.text(amount), into: &out)
            case .output, .memory, .disk, .artifactsMaxBytes: quote(ByteSize.text(amount), into: &out)
            case .cpus: out += Processors.text(amount).utf8
            default: out.append(decimal: amount)
            }
        case .paths(let rules): list(rules, "[", ", ", "]", into: &out) { write($0.pattern, into: &$1) }
        case .hosts(let rules): list(rules, "[", ", ", "]", into: &out) { quote($0.pattern.text, into: &$1) }
        case .rules(let rules): list(rules, "[", ", ", "]", into: &out) { write($0, into: &$1) }
        case .bindings(let bindings) where bindings.isEmpty: out += "{}".utf8
        case .bindings(let bindings):
            list(bindings.sorted { $0.key < $1.key }, "{ ", ", ", " }", into: &out) { binding, out in
                out += "\(binding.key) = ".utf8
                write(binding.value, into: &out)
            }
        case .secrets(let secrets) where secrets.isEmpty: out += "{}".utf8
        case .secrets(let secrets):
            list(secrets.sorted { $0.key < $1.key }, "{ ", ", ", " }", into: &out) { secret, out in
                out += "\(secret.key) = ".utf8
                write(secret.value, into: &out)
            }
        }
    }

    static func list<T>(
        _ items: [T], _ open: String, _ comma: String, _ close: String, into out: inout Bytes,
        each: (T, inout Bytes) -> Void
    ) {
        out += open.utf8
        var isFirst = true
        for item in items {
            if !isFirst { out += comma.utf8 }
            isFirst = false
            each(item, &out)
        }
        out += close.utf8
    }

    private static func write(_ rule: CommandRule, into out: inout Bytes) {
        out += "{ argv = ".utf8
        write(rule.pattern, into: &out)
        out += ", decision = ".utf8
        quote(rule.decision.rawValue, into: &out)
        if let reason = rule.reason {
            out += ", reason = ".utf8
            quote(reason, into: &out)
        }
        out += " }".utf8
    }

    static func write(_ pattern: CommandPattern, into out: inout Bytes) {
        list(pattern.words, "[", ", ", "]", into: &out) { word, out in
            if word.count == 1 { return write(word[0], into: &out) }
            list(word, "[", ", ", "]", into: &out) { write($0, into: &$1) }
        }
    }

    fileprivate static func write(_ bytes: Bytes, into out: inout Bytes) {
        if let text = bytes.text { return quote(text, into: &out) }
        out += "{ base64 = ".utf8
        quote(Base64.encode(bytes), into: &out)
        out += " }".utf8
    }

    static func write(_ source: Policy.SecretSource, into out: inout Bytes) {
        if !source.isFile { return write(source.text, into: &out) }
        out += "{ from = ".utf8
        write(source.text, into: &out)
        out += ", file = true }".utf8
    }

    static func quote(_ text: String) -> String {
        var out = Bytes()
        quote(text, into: &out)
        return String(decoding: out, as: UTF8.self)
    }

    /// A basic string: what it holds can't end it, and no control character gets through.
    static func quote(_ text: String, into out: inout Bytes) {
        out.append(UInt8(ascii: "\""))
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 0x22: out += "\\\"".utf8
            case 0x5C: out += "\\\\".utf8
            case 0x0A: out += "\\n".utf8
            case 0x09: out += "\\t".utf8
            case 0..<0x20, 0x7F..<0xA0, 0x200B...0x200F, 0x2028...0x202E, 0x2066...0x2069:
                let digits = String(scalar.value, radix: 16)
                out += ("\\u" + String(repeating: "0", count: 4 - digits.count) + digits).utf8
            default: out += UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter
            }
        }
        out.append(UInt8(ascii: "\""))
    }
}

extension Policy {
    /// The whole policy as TOML, nothing left to a default; reading it gives an equal policy.
    public var toml: Bytes {
        var out = Bytes("version = 1\nname = ")
        out.reserveCapacity(1024)
        PolicyText.quote(name, into: &out)
        out += "\n".utf8
        var table: Table?
        for key in PolicyKey.allCases {
            if key.table != table, let name = key.table {
                out += "\n[".utf8
                out += name.rawValue.utf8
                out += "]\n".utf8
                table = name
            }
            if key == .secrets {
                // The table's keys are the policy's own.
                for (name, source) in secrets.sorted(by: { $0.key < $1.key }) {
                    out += "\(name) = ".utf8
                    PolicyText.write(source, into: &out)
                    out += "\n".utf8
                }
                continue
            }
            out += key.name.utf8
            out += " = ".utf8
            PolicyText.write(value(of: key), of: key, into: &out)
            out += "\n".utf8
        }
        return out
    }

    /// SHA-256 of the TOML text: two policies with one digest allow the same.
    public var digest: String { SHA256.hex(toml) }

    /// Keys as in the TOML, values in units: nanoseconds and bytes as strings, for a number may pass 2^53.
    public var json: JSON {
        do { return try JSON.parse(canonical) } catch { preconditionFailure("what was just written is JSON") }
    }

    /// `json` as canonical bytes, written without the tree: this is on the way of every run.
    public var canonical: Bytes {
        var out = Bytes()
        out.reserveCapacity(1024)
        var table: Table?
        for key in PolicyKey.sorted {
            if table != nil, key.table != table { out.append(UInt8(ascii: "}")) }
            out.append(UInt8(ascii: out.isEmpty ? "{" : ","))
            if key == .networkAllow {
                out += "\"name\":".utf8
                JSON.quote(name, into: &out)
                out.append(UInt8(ascii: ","))
            }
            if key == .workspaceBacking { out += "\"version\":1,".utf8 }
            if key.table != table, let name = key.table {
                JSON.quote(name.rawValue, into: &out)
                out += ":{".utf8
            }
            table = key.table
            if key == .secrets {
                // Their object without its braces: the table's stand for them.
                out += JSON.object(secrets.mapValues(\.json)).canonical.dropFirst().dropLast()
                continue
            }
            JSON.quote(key.name, into: &out)
            out.append(UInt8(ascii: ":"))
            write(key, into: &out)
        }
        out += "}}".utf8
        return out
    }

    private func write(_ key: PolicyKey, into out: inout Bytes) {
        switch value(of: key) {
        case .word(let word): JSON.quote(word, into: &out)
        case .words(let words): PolicyText.list(words, "[", ",", "]", into: &out) { JSON.quote($0, into: &$1) }
        case .flag(let flag): out += (flag ? "true" : "false").utf8
        case .amount(nil): out += "null".utf8
        case .amount(let amount?):
            out.append(UInt8(ascii: "\""))
            if key == .cpus { out += Processors.text(amount).utf8 } else { out.append(decimal: amount) }
            out.append(UInt8(ascii: "\""))
        case .paths(let rules):
            PolicyText.list(rules, "[", ",", "]", into: &out) { $1 += JSON.bytes($0.pattern).canonical }
        case .hosts(let rules):
            PolicyText.list(rules, "[", ",", "]", into: &out) { JSON.quote($0.pattern.text, into: &$1) }
        case .rules(let rules): PolicyText.list(rules, "[", ",", "]", into: &out) { $1 += $0.json.canonical }
        case .bindings(let bindings) where bindings.isEmpty: out += "{}".utf8
        case .bindings(let bindings):
            out += JSON.object(bindings.mapValues { JSON.bytes($0) }).canonical
        case .secrets(let secrets): out += JSON.object(secrets.mapValues(\.json)).canonical
        }
    }
}

/// A name as a policy has to write it to mean just that name: what is told to a person to copy may be a hostile command's choice.
public enum PolicyLiteral {
    /// Of `[files]`.
    public static func path(_ path: Bytes) -> String {
        var out = Bytes()
        PolicyText.write(Wildcard.escaped(path), into: &out)
        return String(decoding: out, as: UTF8.self)
    }

    /// Of a command rule; nil: a rule's words are text.
    public static func word(_ word: Bytes) -> String? {
        guard let text = Wildcard.escaped(word).text else { return nil }
        var out = Bytes()
        PolicyText.quote(text, into: &out)
        return String(decoding: out, as: UTF8.self)
    }

    /// Of a shell's line, where it isn't plain.
    public static func shell(_ word: Bytes) -> String {
        let isPlain = word.allSatisfy { byte in
            (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                || "-_./:=,+@%".utf8.contains(byte)
        }
        if isPlain, !word.isEmpty { return word.shown }
        return "'" + word.shown.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
    }
}
