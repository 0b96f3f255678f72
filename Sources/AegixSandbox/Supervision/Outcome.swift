// Pure data. What a run came to, and what was seen on the way: the input of the record.

import AegixPlan
import AegixPolicy
import AegixSystem

/// How a run ended.
public struct Outcome: Equatable, Sendable {
    public var status: Status
    /// What aegix itself exits with.
    public var exitCode: Int32
    /// The signal that ended the command, or aegix.
    public var signal: Int32?
    public var limit: Limit?
    /// `limits.wall` and its like: the policy's key behind the outcome.
    public var rule: String?
    public var message: String?

    public init(
        _ status: Status, exitCode: Int32, signal: Int32? = nil, limit: Limit? = nil, rule: String? = nil,
        message: String? = nil
    ) {
        self.status = status
        self.exitCode = exitCode
        self.signal = signal
        self.limit = limit
        self.rule = rule
        self.message = message
    }

    /// `--fail-on-violation`: a command that ended by itself counts as denied by what was refused inside.
    public mutating func failOn(_ violation: Violation) {
        guard status == .exited || status == .signaled, exitCode != 126 else { return }
        let own = signal.map { "died of signal \($0)" } ?? "exited with \(exitCode)"
        message = "\(own), and something was refused inside: \(violation.rule)"
        exitCode = 126
        rule = rule ?? violation.rule
    }

    public enum Status: String, Sendable {
        case exited, signaled, denied, failed, interrupted
        case timedOut = "timed_out"
        case limitExceeded = "limit_exceeded"
    }

    public enum Limit: String, Sendable {
        case wall, output, execs, memory, pids, disk
        case cpuTime = "cpu_time"
        case openFiles = "open_files"
    }
}

/// What the run used, from the kernel's own accounting: of its cgroup where it had one, else of the reaped tree.
public struct Usage: Equatable, Sendable {
    public var userNanoseconds: UInt64 = 0
    public var systemNanoseconds: UInt64 = 0
    /// The largest single process.
    public var peakResidentBytes: UInt64 = 0
    public var execs: UInt64 = 0
    /// What only a cgroup counts; all nil without one.
    public var cgroup = CgroupUsage()

    public init() {}

    /// The cgroup's count is the better one: it has the processes that nobody reaped, too.
    public mutating func take(_ counted: CgroupUsage) {
        cgroup = counted
        if let user = counted.cpuUser { userNanoseconds = user }
        if let system = counted.cpuSystem { systemNanoseconds = system }
    }
}

/// One exec of the tree, as the notification showed it.
public struct ExecEvent: Equatable, Sendable {
    /// Wall-clock nanoseconds since 1970.
    public var time: UInt64
    /// As the sandbox numbers them, where known; else nil.
    public var pid: Int32
    public var parent: Int32?
    public var program: Bytes
    public var argv: [Bytes]
    /// argv was longer than is recorded.
    public var argvCut: Bool
    public var decision = CommandDecision.allow
    /// `deny git push ** (policy.toml:14:1)`; nil: no rule said anything.
    public var rule: String?
    /// Somebody was asked.
    public var approval: Approval?

    public init(time: UInt64, pid: Int32, parent: Int32?, program: Bytes, argv: [Bytes], argvCut: Bool) {
        self.time = time
        self.pid = pid
        self.parent = parent
        self.program = program
        self.argv = argv
        self.argvCut = argvCut
    }
}

/// Something refused: by which control, under which rule, how often.
public struct Violation: Equatable, Sendable {
    /// `seccomp`, `limits`, …
    public var control: String
    /// `unshare`, `socket(AF_VSOCK)`, …
    public var rule: String
    /// What it was asked of, where that is a file.
    public var path: Bytes?
    public var errno: Int32
    public var count: UInt64
    public var firstTime: UInt64
    public var firstPid: Int32

    public init(
        control: String, rule: String, path: Bytes? = nil, errno: Int32, count: UInt64, firstTime: UInt64,
        firstPid: Int32
    ) {
        self.control = control
        self.rule = rule
        self.path = path
        self.errno = errno
        self.count = count
        self.firstTime = firstTime
        self.firstPid = firstPid
    }
}

/// A captured stream.
public struct StreamSummary: Equatable, Sendable {
    /// Everything that the command wrote.
    public var bytes: UInt64 = 0
    /// What of it is in the log.
    public var captured: UInt64 = 0
    public var truncated: Bool { captured < (redactedBytes ?? bytes) }
    /// How often a secret's name stands in its place.
    public var redacted: UInt64 = 0
    /// What the command wrote is so long without them; nil: there are none.
    public var redactedBytes: UInt64?
    /// SHA-256 of the log, in hex.
    public var digest = ""
    /// The first bytes of it, up to 1 MiB, for the record.
    public var head: Bytes = []
    /// It came through a terminal, where stdout and stderr are one.
    public var terminal = false

    public init() {}
}

/// One line of `enforcement`: what was asked, what really held it.
public struct Control: Equatable, Sendable {
    public var name: String
    public var asked: String
    public var mechanism: String
    public var held: Bool

    public init(_ name: String, asked: String, mechanism: String, held: Bool) {
        self.name = name
        self.asked = asked
        self.mechanism = mechanism
        self.held = held
    }
}
