// Pure data. What is known of a run before anything of it runs: the first half of the record, filled by the caller of
// RunDirectory.begin. What isn't known (a policy that can't be read, a workspace that isn't there) is nil.

import AegixSystem
import AegixWorkspace

public struct RunStart: Sendable {
    public var id: RunID
    /// Wall-clock nanoseconds since 1970.
    public var startedAt: UInt64
    /// `--parent`, as it was given.
    public var parent: String?
    public var labels: [String: String] = [:]
    public var aegix: Aegix
    public var invocation: Invocation
    public var command: Command
    public var policy: PolicyFacts?
    /// What of the host matters to the run: kernel, capabilities found. An object as canonical JSON.
    public var host: Bytes?
    public var identity: Identity?
    public var environment: [Variable] = []
    /// What is the same in every run, and what isn't; empty where nothing was planned.
    public var determinism: [Pin] = []
    public var workspace: Workspace?
    /// It runs another one again: it is nobody's `last`, and nothing of it is ever applied.
    public var isReplay = false
    /// What the policy brought into view beside the base system and the workspace.
    public var views: [View] = []
    /// `audit.durable`: fsync before the exit code is returned.
    public var durable = false
    /// Signs the record; nil: nothing does.
    public var signer: RunSigner?
    /// The run's secrets; nil: it has none.
    public var redactor: Redactor?

    public init(id: RunID, startedAt: UInt64, aegix: Aegix, invocation: Invocation, command: Command) {
        self.id = id
        self.startedAt = startedAt
        self.aegix = aegix
        self.invocation = invocation
        self.command = command
    }

    public struct Aegix: Equatable, Sendable {
        public var version: String
        public var build: String

        public init(version: String, build: String) {
            self.version = version
            self.build = build
        }
    }

    public struct Invocation: Equatable, Sendable {
        public var argv: [Bytes]
        public var cwd: Bytes?
        /// `cmd`, `script`, `python`, `program`, `replay`.
        public var how: String?

        /// Of a run that runs another one again.
        public static let replay = "replay"

        public init(argv: [Bytes], cwd: Bytes?, how: String?) {
            self.argv = argv
            self.cwd = cwd
            self.how = how
        }
    }

    public struct Command: Equatable, Sendable {
        public var argv: [Bytes]
        /// The resolved program.
        public var program: Bytes?
        /// Its SHA-256 where it is known by now; else `RunEnd.programDigest`.
        public var digest: String?
        /// A script of the caller's that no view shows; nil: there is none.
        public var script: Script?

        public init(argv: [Bytes], program: Bytes? = nil, digest: String? = nil) {
            self.argv = argv
            self.program = program
            self.digest = digest
        }
    }

    /// It was handed in by its bytes, so a replay needs them.
    public struct Script: Equatable, Sendable {
        public var path: Bytes
        public var digest: String
        /// nil: it holds a secret, and isn't kept.
        public var content: Bytes?

        public init(path: Bytes, content: Bytes, kept: Bool) {
            self.path = path
            digest = SHA256.hex(content)
            self.content = kept ? content : nil
        }
    }

    public struct PolicyFacts: Equatable, Sendable {
        public var name: String
        public var sources: [Source]
        /// The policy in force, an object as canonical JSON.
        public var effective: Bytes
        /// SHA-256 of `toml`, in hex.
        public var digest: String
        /// The policy in force as TOML: `policy.toml` of the run directory.
        public var toml: Bytes

        /// Where a key's value was written, by the key, in order: `policy.toml:3:8`, `--timeout`.
        public var origins: [(key: String, place: String)] = []

        public init(name: String, sources: [Source], effective: Bytes, digest: String, toml: Bytes) {
            self.name = name
            self.sources = sources
            self.effective = effective
            self.digest = digest
            self.toml = toml
        }

        public static func == (a: PolicyFacts, b: PolicyFacts) -> Bool {
            a.name == b.name && a.sources == b.sources && a.effective == b.effective && a.digest == b.digest
                && a.toml == b.toml && a.origins.elementsEqual(b.origins) { $0 == $1 }
        }

        public struct Source: Equatable, Sendable {
            public var name: Bytes
            public var digest: String

            public init(name: Bytes, digest: String) {
                self.name = name
                self.digest = digest
            }
        }
    }

    public struct Identity: Equatable, Sendable {
        public var insideUID: UInt32
        public var insideGID: UInt32
        public var outsideUID: UInt32
        public var outsideGID: UInt32

        public init(insideUID: UInt32, insideGID: UInt32, outsideUID: UInt32, outsideGID: UInt32) {
            self.insideUID = insideUID
            self.insideGID = insideGID
            self.outsideUID = outsideUID
            self.outsideGID = outsideGID
        }
    }

    /// A variable of the command's environment. `origin` decides whether its value is recorded.
    public struct Variable: Equatable, Sendable {
        public var name: Bytes
        public var value: Bytes
        public var origin: Origin

        public init(name: Bytes, value: Bytes, origin: Origin) {
            self.name = name
            self.value = value
            self.origin = origin
        }

        public enum Origin: String, Sendable {
            /// aegix's own: PATH, HOME, …
            case builtIn = "built-in"
            /// `env.set` of the policy.
            case policy
            /// `--env`.
            case option
            /// `env.pass` or `--pass-env`: the caller's.
            case caller
            case secret
        }
    }

    /// A path of the host as it was resolved, which is its path inside, too.
    public struct View: Equatable, Sendable {
        public var path: Bytes
        public var isWritable: Bool

        public init(_ path: Bytes, isWritable: Bool) {
            self.path = path
            self.isWritable = isWritable
        }
    }

    /// One thing that differs between runs of one command, and what holds it.
    public struct Pin: Equatable, Sendable {
        public var name: String
        public var value: String?
        public var isPinned: Bool
        public var mechanism: String?

        public init(_ name: String, value: String?, isPinned: Bool, mechanism: String?) {
            self.name = name
            self.value = value
            self.isPinned = isPinned
            self.mechanism = mechanism
        }
    }

    public struct Workspace: Equatable, Sendable {
        public var path: Bytes
        /// `layer`, `read-only`, `direct`.
        public var mode: String
        /// How the layer's marks are to be read: whoever reads them must not take the command's own xattrs for marks. nil: there is none.
        public var layer: Layer.Style?
        /// The named sandbox, and its directory, which holds the layer.
        public var sandbox: (name: String, path: Bytes)?

        public init(
            path: Bytes, mode: String, layer: Layer.Style? = nil, sandbox: (name: String, path: Bytes)? = nil
        ) {
            self.path = path
            self.mode = mode
            self.layer = layer
            self.sandbox = sandbox
        }

        public static func == (a: Workspace, b: Workspace) -> Bool {
            a.path == b.path && a.mode == b.mode && a.layer == b.layer && a.sandbox?.name == b.sandbox?.name
                && a.sandbox?.path == b.sandbox?.path
        }
    }
}
