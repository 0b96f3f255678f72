// Pure. A policy as keys and values: what merging, comparing and printing have in common.

import AegixSystem

extension Policy {
    func value(of key: PolicyKey) -> Setting.Value {
        switch key {
        case .require: .word(require.name)
        case .lock: .words(Table.allCases.filter(lock.contains).map(\.rawValue))
        case .identityUser: .word(identity.rawValue)
        case .workspaceMode: .word(workspace.mode.rawValue)
        case .workspaceProtect: .words(workspace.protect)
        case .filesRead: .paths(files.read)
        case .filesWrite: .paths(files.write)
        case .filesDeny: .paths(files.deny)
        case .wall: .amount(limits.wall)
        case .grace: .amount(limits.grace)
        case .cpuTime: .amount(limits.cpuTime)
        case .output: .amount(limits.output)
        case .onOutput: .word(limits.onOutput.rawValue)
        case .openFiles: .amount(limits.openFiles)
        case .execs: .amount(limits.execs)
        case .envPass: .words(env.pass)
        case .envSet: .bindings(env.set)
        case .capabilities: .words(capabilities)
        case .durable: .flag(audit.durable)
        }
    }

    /// The reader has checked type and range of every value, so one that doesn't fit is a mistake of ours.
    mutating func set(_ key: PolicyKey, _ value: Setting.Value) {
        switch (key, value) {
        case (.require, .word(let word)): Tier(name: word).map { require = $0 }
        case (.lock, .words(let words)): lock = Set(words.compactMap(Table.init(rawValue:)))
        case (.identityUser, .word(let word)): Identity(rawValue: word).map { identity = $0 }
        case (.workspaceMode, .word(let word)): Workspace.Mode(rawValue: word).map { workspace.mode = $0 }
        case (.workspaceProtect, .words(let words)): workspace.protect = words
        case (.filesRead, .paths(let rules)): files.read = rules
        case (.filesWrite, .paths(let rules)): files.write = rules
        case (.filesDeny, .paths(let rules)): files.deny = rules
        case (.wall, .amount(let amount)): limits.wall = amount
        case (.grace, .amount(let amount)): limits.grace = amount ?? 0
        case (.cpuTime, .amount(let amount)): limits.cpuTime = amount
        case (.output, .amount(let amount)): limits.output = amount
        case (.onOutput, .word(let word)): Limits.OnOutput(rawValue: word).map { limits.onOutput = $0 }
        case (.openFiles, .amount(let amount)): limits.openFiles = amount
        case (.execs, .amount(let amount)): limits.execs = amount
        case (.envPass, .words(let words)): env.pass = words
        case (.envSet, .bindings(let bindings)): env.set = bindings
        case (.capabilities, .words(let words)): capabilities = words
        case (.durable, .flag(let flag)): audit.durable = flag
        default: preconditionFailure("\(key.rawValue) got a value of another type")
        }
    }
}

/// How a value of a key is written in TOML.
enum PolicyText {
    static func toml(_ value: Setting.Value, of key: PolicyKey) -> String {
        switch value {
        case .word(let word): return quote(word)
        case .words(let words): return "[" + words.map(quote).joined(separator: ", ") + "]"
        case .flag(let flag): return String(flag)
        case .amount(nil): return quote("none")
        case .amount(let amount?):
            switch key {
            case .wall, .grace, .cpuTime: return quote(TimeSpan.text(amount))
            case .output: return quote(ByteSize.text(amount))
            default: return String(amount)
            }
        case .paths(let rules): return "[" + rules.map { bytes($0.pattern) }.joined(separator: ", ") + "]"
        case .bindings(let bindings):
            if bindings.isEmpty { return "{}" }
            let pairs = bindings.sorted { $0.key < $1.key }.map { "\($0.key) = \(bytes($0.value))" }
            return "{ " + pairs.joined(separator: ", ") + " }"
        }
    }

    static func bytes(_ bytes: Bytes) -> String {
        bytes.text.map(quote) ?? "{ base64 = \(quote(Base64.encode(bytes))) }"
    }

    /// A basic string: what it holds can't end it, and no control character gets through.
    static func quote(_ text: String) -> String {
        var out = "\""
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 0x22: out += "\\\""
            case 0x5C: out += "\\\\"
            case 0x0A: out += "\\n"
            case 0x09: out += "\\t"
            case 0..<0x20, 0x7F..<0xA0, 0x200B...0x200F, 0x202A...0x202E, 0x2066...0x2069:
                let digits = String(scalar.value, radix: 16)
                out += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out + "\""
    }
}

extension Policy {
    /// The whole policy as TOML, nothing left to a default; reading it gives an equal policy.
    public var toml: Bytes {
        var out = "version = 1\nname = \(PolicyText.quote(name))\n"
        var table: Table?
        for key in PolicyKey.allCases {
            if key.table != table, let name = key.table {
                out += "\n[\(name.rawValue)]\n"
                table = name
            }
            out += "\(key.name) = \(PolicyText.toml(value(of: key), of: key))\n"
        }
        return Bytes(out)
    }

    /// SHA-256 of the TOML text: two policies with one digest allow the same.
    public var digest: String { SHA256.hex(toml) }

    /// Keys as in the TOML, values in units: nanoseconds and bytes as strings, for a number may pass 2^53.
    public var json: JSON {
        var members: [String: JSON] = ["version": 1, "name": .string(name)]
        for key in PolicyKey.allCases {
            let value = json(of: key)
            guard let table = key.table?.rawValue else {
                members[key.name] = value
                continue
            }
            var inner = members[table]?.object ?? [:]
            inner[key.name] = value
            members[table] = .object(inner)
        }
        return .object(members)
    }

    private func json(of key: PolicyKey) -> JSON {
        switch value(of: key) {
        case .word(let word): .string(word)
        case .words(let words): .array(words.map { .string($0) })
        case .flag(let flag): .bool(flag)
        case .amount(let amount): amount.map { JSON.big($0) } ?? .null
        case .paths(let rules): .array(rules.map { JSON.bytes($0.pattern) })
        case .bindings(let bindings): .object(bindings.mapValues { JSON.bytes($0) })
        }
    }
}
