// Data. What a run is connected to on the caller's side.

import AegixSystem

/// The caller's descriptors and the run's logs.
public struct RunIO {
    /// Captured only, nothing passed on: `--json`.
    public var captureOnly: Bool
    public var stdoutLog: Int32
    public var stderrLog: Int32
    /// How much of each stream the record carries itself.
    public var headLimit: Int
    public var cache: CacheDirectory

    public init(captureOnly: Bool, stdoutLog: Int32, stderrLog: Int32, headLimit: Int, cache: CacheDirectory) {
        self.captureOnly = captureOnly
        self.stdoutLog = stdoutLog
        self.stderrLog = stderrLog
        self.headLimit = headLimit
        self.cache = cache
    }
}

/// What is told while a run goes on. Order is the order of events.
public protocol RunObserver {
    /// The sandbox is being made: time for work that needn't wait.
    mutating func starting() throws(Failure)
    mutating func exec(_ event: ExecEvent)
    mutating func refused(_ violation: Violation)
    mutating func limit(_ limit: Outcome.Limit)
}

/// Everything that a finished run came to.
public struct RunResult {
    public var outcome: Outcome
    public var usage: Usage
    public var stdout: StreamSummary
    public var stderr: StreamSummary
    public var program: Bytes?
    public var programDigest: String?
    /// What stdin was, and how it reached the command.
    public var stdin: String
    /// A log that couldn't be written: the run was fine, its record isn't.
    public var logError: SystemError?
    /// Nothing of the command ran.
    public var failure: Failure?
}
