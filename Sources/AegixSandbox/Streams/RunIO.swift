// Data. What a run is connected to on the caller's side.

import AegixNetwork
import AegixSystem

/// The caller's side of a run.
public struct RunIO {
    /// Captured only, nothing passed on: `--json`.
    public var captureOnly: Bool
    /// How much of each stream the record carries itself.
    public var headLimit: Int
    public var cache: CacheDirectory
    /// Takes the secrets out of what is captured and shown; nil: there are none.
    public var redactor: Redactor?
    /// The caller's stdout gets them all the same.
    public var rawOutput = false
    /// Notes of the files that are seen; nil: none are kept.
    public var sightings: Sightings?
    /// The run's id: its cgroup is named after it.
    public var run: String

    public init(captureOnly: Bool, headLimit: Int, cache: CacheDirectory, run: String) {
        self.captureOnly = captureOnly
        self.headLimit = headLimit
        self.cache = cache
        self.run = run
    }
}

/// Where captured output goes: descriptors that stay open until the run is over.
public struct RunLogs {
    public var stdout: Int32
    public var stderr: Int32
    /// -1: what the command reads isn't kept.
    public var stdin: Int32

    public init(stdout: Int32, stderr: Int32, stdin: Int32 = -1) {
        self.stdout = stdout
        self.stderr = stderr
        self.stdin = stdin
    }
}

/// What is told while a run goes on. Order is the order of events.
public protocol RunObserver {
    /// The sandbox assembles itself: time for work that needn't come before it. Nothing of the command runs until this
    /// returns. The logs stay the observer's.
    mutating func starting() throws(Failure) -> RunLogs
    /// The command runs, and the supervisor waits for it: time for work that can be done before the end.
    mutating func started()
    mutating func exec(_ event: ExecEvent)
    mutating func refused(_ violation: Violation)
    mutating func limit(_ limit: Outcome.Limit)
    /// A lookup or a connection, when it is first seen.
    mutating func network(_ event: NetworkEvent)
}

/// Everything that a finished run came to.
public struct RunResult {
    public var outcome: Outcome
    public var usage: Usage
    public var network: [NetworkEvent]
    /// How many more there were.
    public var networkLeftOut: UInt64
    public var stdout: StreamSummary
    public var stderr: StreamSummary
    /// nil: it wasn't to be kept.
    public var input: InputSummary?
    public var program: Bytes?
    public var programDigest: String?
    /// What stdin was, and how it reached the command.
    public var stdin: String
    /// A log that couldn't be written: the run was fine, its record isn't.
    public var logError: SystemError?
    /// The run's cgroup couldn't be removed; a later command tries again.
    public var cgroupError: SystemError?
    /// Nothing of the command ran.
    public var failure: Failure?
    /// It ran, and what it changed couldn't be kept.
    public var lateFailure: Failure?
}
