// Pure. What may happen, as checked data: the policy after parsing, stacking and the caller's options.

import AegixSystem

/// A complete, validated policy. Every value has been checked; nothing in here is text to be interpreted again
/// except path patterns, which `Plan` resolves against the host.
public struct Policy: Equatable, Sendable {
    public var name = "default"
    /// The least tier that is accepted.
    public var require = Tier.isolated
    /// Tables that the caller's options can't loosen.
    public var lock: Set<Table> = []
    public var identity = Identity.keep
    public var workspace = Workspace()
    public var files = Files()
    public var network = Network()
    public var commands = Commands()
    public var limits = Limits()
    public var env = Environment()
    /// By the name of the variable inside.
    public var secrets: [String: SecretSource] = [:]
    /// Capabilities kept, as libcap names (`cap_net_bind_service`), in the sandbox's own user namespace.
    public var capabilities: [String] = []
    public var artifacts = Artifacts()
    public var approval = Approval()
    public var audit = Audit()
    public var determinism = Determinism()

    public init() {}

    /// The names of the policy's tables, as they stand in `lock`.
    public enum Table: String, CaseIterable, Sendable {
        case identity, workspace, files, commands, network, limits, env, secrets, capabilities, artifacts, approval
        case audit, determinism
    }

    public enum Identity: String, CaseIterable, Sendable {
        case keep, nobody
    }

    public struct Workspace: Equatable, Sendable {
        public var mode = Mode.layer
        public var protect: [String] = [".git/hooks", ".git/config", ".envrc", "aegix.toml"]

        public var backing = Backing.auto
        public var sandbox = Lifetime.run
        /// `home`, `tmp`: what of a named sandbox lives on beside the layer.
        public var keep: Set<Kept> = []

        /// How long a sandbox lives that the caller gives no name.
        public enum Lifetime: String, CaseIterable, Sendable {
            case run, workspace
        }

        public enum Kept: String, CaseIterable, Sendable {
            case home, tmp
        }

        /// What a layer is made of.
        public enum Backing: String, CaseIterable, Sendable {
            /// An overlay, and a copy where none can be mounted.
            case auto
            /// An overlay or nothing.
            case overlay
            case copy
        }

        public enum Mode: String, CaseIterable, Sendable {
            case layer
            /// A layer that is applied by itself when the command exits with 0.
            case apply
            case readOnly = "read-only"
            case direct

            public var hasLayer: Bool { self == .layer || self == .apply }
        }
        public init() {}
    }

    public struct Files: Equatable, Sendable {
        public var read: [PathRule] = []
        public var write: [PathRule] = []
        public var deny: [PathRule] = []
        public init() {}
    }

    /// A path or glob (`**` crosses directories; a leading `~/` is the caller's home; relative ones are relative to the
    /// workspace), and where it was written, for error messages.
    public struct PathRule: Equatable, Sendable {
        public var pattern: Bytes
        /// `policy.toml:14:9`, or `--read`.
        public var origin: String
        /// Later layers narrowed these directories to this: whatever symlinks do, it has to resolve beneath each.
        public var beneath: [Bytes]

        public init(pattern: Bytes, origin: String, beneath: [Bytes] = []) {
            self.pattern = pattern
            self.origin = origin
            self.beneath = beneath
        }
    }

    public struct Network: Equatable, Sendable {
        public var mode = Mode.none
        public var allow: [HostRule] = []
        public var deny: [HostRule] = []
        public var unknown = Unknown.deny
        /// The name that a TLS or HTTP client says has to be one that the policy allows.
        public var inspect = true
        /// Addresses of name servers; empty: the host's.
        public var resolvers: [String] = []

        /// What a command can connect to, least first.
        public enum Mode: String, CaseIterable, Sendable {
            case none, allow, guarded, host

            public var isRelayed: Bool { self == .allow || self == .guarded }
            /// Names that no rule covers, without a question.
            var passesNames: Bool { self == .guarded || self == .host }
            var reach: Int { [.none, .allow, .guarded, .host].firstIndex(of: self) ?? 0 }
        }

        public enum Unknown: String, CaseIterable, Sendable {
            case deny, approve
        }
        public init() {}

        /// Whether a name that no rule covers is asked about: in the other modes none or all of them pass.
        public var asks: Bool { mode == .allow && unknown == .approve }
    }

    /// A host and where it was written.
    public struct HostRule: Equatable, Sendable {
        public var pattern: HostPattern
        /// `policy.toml:14:9`, or `--allow-host`.
        public var origin: String

        public init(_ pattern: HostPattern, origin: String) {
            self.pattern = pattern
            self.origin = origin
        }

        /// As messages and the record have it: `pypi.org:443 (policy.toml:14:9)`.
        public var text: String { "\(pattern.text) (\(origin))" }
    }

    public struct Limits: Equatable, Sendable {
        /// Nanoseconds; nil is no limit, which has to be written out as 0 or "none": a policy that is silent means an hour.
        public var wall: UInt64? = 3_600_000_000_000
        public var grace: UInt64 = 0
        public var cpuTime: UInt64?
        /// Thousandths of a processor that may be busy at once.
        public var cpus: UInt64?
        /// Bytes of everything together, tmpfs and memfd included.
        public var memory: UInt64?
        /// Processes and threads at once.
        public var pids: UInt64?
        /// Bytes in all the writable places together.
        public var disk: UInt64?
        /// Captured bytes a stream.
        public var output: UInt64? = 16 << 20
        public var onOutput = OnOutput.truncate
        public var openFiles: UInt64? = 1024
        public var execs: UInt64? = 10_000

        public enum OnOutput: String, CaseIterable, Sendable {
            case truncate, kill
        }
        public init() {}
    }

    public struct Environment: Equatable, Sendable {
        /// Names passed on from the caller, `LC_*` style trailing stars allowed.
        public var pass: [String] = ["LANG", "TERM"]
        public var set: [String: Bytes] = [:]
        public init() {}
    }

    public struct Artifacts: Equatable, Sendable {
        /// What of the workspace is copied out after the run, as patterns from its top.
        public var collect: [String] = []
        /// Of all of them together.
        public var maxBytes: UInt64 = 256 << 20
        public init() {}
    }

    public struct Approval: Equatable, Sendable {
        public var via = Via.tty
        /// argv on the host.
        public var command: [String] = []
        /// Nanoseconds; unanswered by then means no.
        public var timeout: UInt64 = 120_000_000_000

        public enum Via: String, CaseIterable, Sendable {
            case tty, command, deny
        }
        public init() {}
    }

    /// What is the same whoever runs the command, when, and on which host. No right: everything here only takes chance away.
    public struct Determinism: Equatable, Sendable {
        /// Empty: the usual one.
        public var hostname = ""
        public var seed: UInt64?
        public var cpus: UInt64?
        /// Addresses are random.
        public var aslr = true
        public var env = false
        /// RFC 3339; empty: it goes on.
        public var clock = ""
        public init() {}
    }

    public struct Audit: Equatable, Sendable {
        /// fsync before the exit code is returned.
        public var durable = false
        /// Path of a private key; empty: nothing is signed.
        public var sign = ""
        public var detail = Detail.processes
        /// What of the workspace is kept for replay.
        public var inputs = Inputs.none
        public init() {}

        /// What the record tells of what a run did.
        public enum Detail: String, CaseIterable, Sendable {
            case processes
            /// Files that were read, too, and each program and library that was loaded.
            case files
        }

        /// The least first.
        public enum Inputs: String, CaseIterable, Sendable {
            case none
            /// What the run read.
            case read
            case all
        }
    }
}

/// How strongly a run is held, weakest first.
public enum Tier: Int, CaseIterable, Comparable, Sendable {
    case confined, isolated, sealed

    public static func < (a: Tier, b: Tier) -> Bool { a.rawValue < b.rawValue }

    /// Not by reflection: its first use costs a third of a millisecond.
    public var name: String {
        switch self {
        case .confined: "confined"
        case .isolated: "isolated"
        case .sealed: "sealed"
        }
    }

    public init?(name: String) {
        guard let tier = Tier.allCases.first(where: { $0.name == name }) else { return nil }
        self = tier
    }
}
