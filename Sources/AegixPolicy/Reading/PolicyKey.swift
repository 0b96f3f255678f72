// Pure data. The keys of a policy: one table that the reader, the JSON Schema and the availability check share.

/// A key that this version enforces, by its path in the document.
public enum PolicyKey: String, CaseIterable, Hashable, Sendable {
    case require, lock
    case identityUser = "identity.user"
    case workspaceBacking = "workspace.backing"
    case workspaceKeep = "workspace.keep"
    case workspaceMode = "workspace.mode"
    case workspaceProtect = "workspace.protect"
    case workspaceSandbox = "workspace.sandbox"
    case filesRead = "files.read"
    case filesWrite = "files.write"
    case filesDeny = "files.deny"
    case networkMode = "network.mode"
    case networkAllow = "network.allow"
    case networkDeny = "network.deny"
    case networkUnknown = "network.unknown"
    case networkInspect = "network.inspect"
    case networkResolvers = "network.resolvers"
    case commandsDefault = "commands.default"
    case commandsRule = "commands.rule"
    case wall = "limits.wall"
    case grace = "limits.grace"
    case cpuTime = "limits.cpu_time"
    case cpus = "limits.cpus"
    case memory = "limits.memory"
    case pids = "limits.pids"
    case disk = "limits.disk"
    case output = "limits.output"
    case onOutput = "limits.on_output"
    case openFiles = "limits.open_files"
    case execs = "limits.execs"
    case envPass = "env.pass"
    case envSet = "env.set"
    case secrets
    case capabilities = "capabilities.keep"
    case artifactsCollect = "artifacts.collect"
    case artifactsMaxBytes = "artifacts.max_bytes"
    case approvalVia = "approval.via"
    case approvalCommand = "approval.command"
    case approvalTimeout = "approval.timeout"
    case detail = "audit.detail"
    case durable = "audit.durable"
    case inputs = "audit.inputs"
    case sign = "audit.sign"

    /// In the order of canonical JSON. `name` and `version` stand before `network` and `workspace`.
    static let sorted: [PolicyKey] = [
        .approvalCommand, .approvalTimeout, .approvalVia, .artifactsCollect, .artifactsMaxBytes, .detail, .durable,
        .inputs, .sign, .capabilities, .commandsDefault, .commandsRule, .envPass, .envSet, .filesDeny, .filesRead,
        .filesWrite,
        .identityUser, .cpuTime, .cpus, .disk, .execs, .grace, .memory, .onOutput, .openFiles, .output, .pids, .wall,
        .lock, .networkAllow, .networkDeny, .networkInspect, .networkMode, .networkResolvers, .networkUnknown,
        .require, .secrets,
        .workspaceBacking, .workspaceKeep, .workspaceMode, .workspaceProtect, .workspaceSandbox,
    ]

    /// The name in `lock` that covers it; `require` isn't in a table, so it stays the caller's word.
    var table: Policy.Table? {
        switch self {
        case .require, .lock: nil
        case .identityUser: .identity
        case .workspaceBacking, .workspaceKeep, .workspaceMode, .workspaceProtect, .workspaceSandbox: .workspace
        case .filesRead, .filesWrite, .filesDeny: .files
        case .networkMode, .networkAllow, .networkDeny, .networkUnknown, .networkInspect, .networkResolvers: .network
        case .commandsDefault, .commandsRule: .commands
        case .wall, .grace, .cpuTime, .cpus, .memory, .pids, .disk, .output, .onOutput, .openFiles, .execs: .limits
        case .envPass, .envSet: .env
        case .secrets: .secrets
        case .capabilities: .capabilities
        case .artifactsCollect, .artifactsMaxBytes: .artifacts
        case .approvalVia, .approvalCommand, .approvalTimeout: .approval
        case .detail, .durable, .inputs, .sign: .audit
        }
    }

    /// Without the table.
    var name: String {
        let path = rawValue.utf8
        guard let dot = path.firstIndex(of: UInt8(ascii: ".")) else { return rawValue }
        return String(Substring(path[path.index(after: dot)...]))
    }
}

/// What a key may hold.
indirect enum ValueType {
    case version
    case name
    case text
    case flag
    case choice([String])
    /// Any of these words.
    case choices([String])
    case integer(ClosedRange<Int>)
    /// Processors, with a fraction.
    case processors
    case duration(orNone: Bool)
    case size(orNone: Bool)
    case count(orNone: Bool)
    /// Paths or globs of the host.
    case paths
    /// Paths or globs beneath the workspace.
    case inside
    case environmentNames
    case environment
    case secrets
    case capabilities
    case hosts
    /// Addresses of name servers, with an optional port.
    case resolvers
    case words
    /// Words, each of which may be a list of alternatives.
    case pattern
    case rules

    var isSecrets: Bool { if case .secrets = self { true } else { false } }
}

struct SchemaKey {
    var name: String
    var type: ValueType
    var summary: String
}

struct SchemaTable {
    var name: String
    var keys: [SchemaKey]
    /// A table whose keys are the user's own, such as the names of secrets.
    var entries: SchemaKey?

    init(_ name: String, _ keys: [SchemaKey], entries: SchemaKey? = nil) {
        self.name = name
        self.keys = keys
        self.entries = entries
    }
}

enum Schema {
    /// Keys above the first table.
    static let top: [SchemaKey] = [
        SchemaKey(name: "version", type: .version, summary: "The version of this format: 1."),
        SchemaKey(name: "name", type: .name, summary: "What the record calls this policy."),
        SchemaKey(
            name: "require", type: .choice(Tier.allCases.reversed().map(\.name)),
            summary: "The least tier that is accepted; below it the run is refused."),
        SchemaKey(name: "extends", type: .text, summary: "A preset or a file that this policy narrows."),
        SchemaKey(
            name: "lock", type: .choices(Policy.Table.allCases.map(\.rawValue)),
            summary: "Tables that the caller's options can't loosen."),
    ]

    static let tables: [SchemaTable] = [
        SchemaTable(
            "identity",
            [
                SchemaKey(
                    name: "user", type: .choice(["keep", "nobody"]),
                    summary: "Who the command is: the owner of the workspace, or an unprivileged user.")
            ]),
        SchemaTable(
            "workspace",
            [
                SchemaKey(
                    name: "mode", type: .choice(["layer", "apply", "read-only", "direct"]),
                    summary: "What happens to changes of the workspace."),
                SchemaKey(
                    name: "keep", type: .choices(Policy.Workspace.Kept.allCases.map(\.rawValue)),
                    summary: "What of a named sandbox lives on beside the workspace's layer."),
                SchemaKey(
                    name: "sandbox", type: .choice(Policy.Workspace.Lifetime.allCases.map(\.rawValue)),
                    summary: "Whether the runs of a workspace share a sandbox that is named after it."),
                SchemaKey(
                    name: "backing", type: .choice(Policy.Workspace.Backing.allCases.map(\.rawValue)),
                    summary: "What a layer is made of."),
                SchemaKey(
                    name: "protect", type: .inside,
                    summary: "Paths of the workspace that are never applied without being asked for."),
            ]),
        SchemaTable(
            "files",
            [
                SchemaKey(name: "read", type: .paths, summary: "Host paths in view beyond the base system."),
                SchemaKey(name: "write", type: .paths, summary: "Host paths that can be written in place."),
                SchemaKey(name: "deny", type: .paths, summary: "Paths masked wherever they would be in view."),
            ]),
        SchemaTable(
            "commands",
            [
                SchemaKey(
                    name: "default", type: .choice(["allow", "deny"]),
                    summary: "What happens to a program that no rule matches."),
                SchemaKey(name: "rule", type: .rules, summary: "Rules on argv; the strictest match wins."),
            ]),
        SchemaTable(
            "network",
            [
                SchemaKey(
                    name: "mode", type: .choice(["none", "allow", "guarded", "host"]),
                    summary: "What the command can connect to."),
                SchemaKey(
                    name: "allow", type: .hosts, summary: "Names, addresses and ranges, each with an optional port."),
                SchemaKey(name: "deny", type: .hosts, summary: "Names, addresses and ranges that stay closed."),
                SchemaKey(
                    name: "unknown", type: .choice(["deny", "approve"]),
                    summary: "What happens to a name that no rule covers."),
                SchemaKey(
                    name: "inspect", type: .flag,
                    summary: "Whether the name that a TLS or HTTP client asks for must be allowed, too."),
                SchemaKey(
                    name: "resolvers", type: .resolvers,
                    summary: "Addresses of the name servers to ask, in place of the host's."),
            ]),
        SchemaTable(
            "limits",
            [
                SchemaKey(name: "wall", type: .duration(orNone: true), summary: "Wall-clock time."),
                SchemaKey(name: "grace", type: .duration(orNone: false), summary: "Time between SIGTERM and SIGKILL."),
                SchemaKey(name: "cpu_time", type: .duration(orNone: true), summary: "CPU time of each process."),
                SchemaKey(name: "cpus", type: .processors, summary: "CPUs that can be busy at once."),
                SchemaKey(
                    name: "memory", type: .size(orNone: true), summary: "Memory in total, tmpfs and memfd included."),
                SchemaKey(name: "pids", type: .count(orNone: true), summary: "Processes and threads at once."),
                SchemaKey(name: "disk", type: .size(orNone: true), summary: "All the writable places together."),
                SchemaKey(name: "output", type: .size(orNone: true), summary: "Captured bytes of each stream."),
                SchemaKey(
                    name: "on_output", type: .choice(["truncate", "kill"]), summary: "What happens at the output limit."
                ),
                SchemaKey(name: "open_files", type: .count(orNone: true), summary: "Open descriptors of each process."),
                SchemaKey(name: "execs", type: .count(orNone: true), summary: "Programs started in the whole run."),
            ]),
        SchemaTable(
            "env",
            [
                SchemaKey(
                    name: "pass", type: .environmentNames,
                    summary: "Variables passed on from the caller; a trailing * stands for any ending."),
                SchemaKey(name: "set", type: .environment, summary: "Variables with their values."),
            ]),
        SchemaTable(
            "secrets", [],
            entries: SchemaKey(
                name: "NAME", type: .secrets,
                summary:
                    "A variable inside, from env:VAR or file:PATH, redacted everywhere outside. As a table with `from` and `file = true`: the path of a file with it."
            )),
        SchemaTable(
            "capabilities",
            [
                SchemaKey(
                    name: "keep", type: .capabilities, summary: "Capabilities kept in the sandbox's own user namespace."
                )
            ]),
        SchemaTable(
            "artifacts",
            [
                SchemaKey(name: "collect", type: .inside, summary: "Files of the workspace to copy out after the run."),
                SchemaKey(name: "max_bytes", type: .size(orNone: false), summary: "Size of all of them together."),
            ]),
        SchemaTable(
            "approval",
            [
                SchemaKey(name: "via", type: .choice(["tty", "command", "deny"]), summary: "Who is asked."),
                SchemaKey(name: "command", type: .words, summary: "argv of a program on the host that decides."),
                SchemaKey(name: "timeout", type: .duration(orNone: false), summary: "After this, the answer is no."),
            ]),
        SchemaTable(
            "audit",
            [
                SchemaKey(
                    name: "detail", type: .choice(["processes", "files"]), summary: "How much of the run is recorded."),
                SchemaKey(
                    name: "inputs", type: .choice(["none", "read", "all"]),
                    summary: "What of the workspace is kept for replay."),
                SchemaKey(
                    name: "durable", type: .flag,
                    summary: "Whether the record is on disk before the exit code is returned."),
                SchemaKey(
                    name: "sign", type: .text,
                    summary: "Path of the Ed25519 private key that signs the record (aegix keygen); \"\" signs nothing."
                ),
            ]),
        SchemaTable(
            "determinism",
            [
                SchemaKey(name: "hostname", type: .text, summary: "The host's name inside."),
                SchemaKey(name: "seed", type: .integer(0...Int.max), summary: "Seed of the random numbers inside."),
                SchemaKey(name: "cpus", type: .integer(1...4096), summary: "CPUs that the command sees."),
                SchemaKey(name: "aslr", type: .flag, summary: "Whether addresses are random."),
                SchemaKey(
                    name: "env", type: .flag,
                    summary: "Whether TZ, LANG, PYTHONHASHSEED, SOURCE_DATE_EPOCH and umask are fixed."),
            ]),
    ]

    /// The keys of one `[[commands.rule]]`.
    static let rule: [SchemaKey] = [
        SchemaKey(
            name: "argv", type: .pattern,
            summary: "A pattern a word, or a list of alternatives; ** stands for any number of words."),
        SchemaKey(name: "decision", type: .choice(["allow", "approve", "deny"]), summary: "What happens on a match."),
        SchemaKey(name: "reason", type: .text, summary: "Told to whoever is stopped by it."),
        SchemaKey(
            name: "match", type: .words,
            summary: "Command lines that the rule must match, checked when the policy is loaded."),
        SchemaKey(name: "not_match", type: .words, summary: "Command lines that the rule must not match."),
    ]
}
