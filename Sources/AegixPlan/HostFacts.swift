// Pure data. What the host is like, as far as a plan depends on it. The survey that fills it is in AegixSandbox.

import AegixPolicy
import AegixSystem

public struct HostFacts: Equatable, Sendable {
    public var uid: UInt32
    public var gid: UInt32
    public var userName: Bytes?
    public var kernel = ""
    /// 0: the host has no Landlock.
    public var landlockABI = 0
    /// Yama's kernel.yama.ptrace_scope; 0 where there is no Yama.
    public var ptraceScope = 0
    /// Processors that the caller may use.
    public var processors = 1
    /// The kernel hands core dumps to a socket of the host's, whatever the limit is.
    public var dumpsToSocket = false
    /// The run's directory and the workspace can be mounted with other owners, which only a launch tells.
    public var mapsOwners = true
    /// Where cgroup v2 can hold a run; nil where it can't.
    public var cgroup: CgroupPlace?
    /// Why it can't.
    public var cgroupLack: CgroupLack?
    /// Whether the namespaces of tier isolated can be had here.
    public var namespaces = Namespaces.untried
    /// Files and directories of the system that only tier confined shows as they are: the other tiers make their own.
    public var shared: [Bytes] = []
    /// The caller's $HOME, where it is an absolute path.
    public var home: Bytes?
    /// The caller's environment, in order.
    public var environment: [Variable] = []
    /// With their values, in the order of their names.
    public var secrets: [Secret] = []
    public var cwd: Bytes
    public var workspace: PathFact
    /// What of the base system is there: `/usr`, `/bin`, `/etc/alternatives`, …
    public var base: [BaseEntry] = []
    public var reads: [PathFact] = []
    public var writes: [PathFact] = []
    /// What `files.deny` matches in the views, found by the survey.
    public var denied: [DeniedPath] = []
    /// What `files.deny` names, from the root, whether it is there or not.
    public var denials: [PathPattern] = []
    /// State, configuration, keys and the binary: never in view.
    public var guarded: [GuardedPath] = []
    /// Only for network.mode `host`.
    public var networkFiles: NetworkPlan.HostFiles?

    public init(uid: UInt32, gid: UInt32, cwd: Bytes, workspace: PathFact) {
        self.uid = uid
        self.gid = gid
        self.cwd = cwd
        self.workspace = workspace
    }

    public enum Namespaces: Equatable, Sendable {
        /// Nothing depends on it: the policy accepts no less, so the launch itself will tell.
        case untried
        case available
        /// One sentence, and the command that helps.
        case refused(reason: String, remedy: String)
    }

    public struct Variable: Equatable, Sendable {
        public var name: Bytes
        public var value: Bytes

        public init(name: Bytes, value: Bytes) {
            self.name = name
            self.value = value
        }
    }
}

/// A path of the host that a view is made of: canonical, with the identity of what was there.
public struct PathFact: Equatable, Sendable {
    public var path: Bytes
    public var kind: Kind
    public var device: UInt64
    public var inode: UInt64
    public var uid: UInt32
    public var gid: UInt32
    /// Permission bits.
    public var mode: UInt32
    /// `policy.toml:14:9`, or `--read`: for messages.
    public var origin: String
    /// Where it lies on the host, if elsewhere: a replay lays the workspace out again in a place of its own.
    public var source: Bytes?

    /// Its path on the host.
    public var host: Bytes { source ?? path }

    /// The same of what lies in it.
    func onHost(_ inside: Bytes) -> Bytes { host + inside.dropFirst(path.count) }

    public enum Kind: Equatable, Sendable { case directory, file }

    public init(
        path: Bytes, kind: Kind, device: UInt64, inode: UInt64, uid: UInt32, gid: UInt32, mode: UInt32,
        origin: String
    ) {
        self.path = path
        self.kind = kind
        self.device = device
        self.inode = inode
        self.uid = uid
        self.gid = gid
        self.mode = mode
        self.origin = origin
    }
}

/// A piece of the base system, at the same path inside.
public struct BaseEntry: Equatable, Sendable {
    public var path: Bytes
    public var kind: Kind

    public enum Kind: Equatable, Sendable {
        case directory(device: UInt64, inode: UInt64, source: Bytes)
        case file(device: UInt64, inode: UInt64, source: Bytes)
        case symlink(Bytes)
    }

    public init(path: Bytes, kind: Kind) {
        self.path = path
        self.kind = kind
    }
}

public struct DeniedPath: Equatable, Sendable {
    public var path: Bytes
    public var isDirectory: Bool
    public var origin: String

    public init(path: Bytes, isDirectory: Bool, origin: String) {
        self.path = path
        self.isDirectory = isDirectory
        self.origin = origin
    }
}

public struct GuardedPath: Equatable, Sendable {
    public var path: Bytes
    /// nil: it isn't there now.
    public var kind: PathFact.Kind?
    /// "the state directory"
    public var what: String

    public init(path: Bytes, kind: PathFact.Kind?, what: String) {
        self.path = path
        self.kind = kind
        self.what = what
    }
}
