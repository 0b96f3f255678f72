// Pure data. What a run came to: the second half of the record, filled by the caller of RunDirectory.finish.

import AegixNetwork
import AegixSandbox
import AegixSystem
import AegixWorkspace

public struct RunEnd: Sendable {
    public var outcome: Outcome
    /// Wall-clock nanoseconds since 1970.
    public var finishedAt: UInt64
    /// By the monotonic clock, so that it is right although somebody set the wall clock.
    public var durationNanoseconds: UInt64
    /// nil where nothing ran.
    public var usage: Usage?
    /// The program that the command really was, once it ran.
    public var program: Bytes?
    public var programDigest: String?
    public var enforcement: Enforcement?
    public var execs: [ExecEvent] = []
    /// Execs that happened but aren't in `execs`.
    public var execsLeftOut: UInt64 = 0
    public var violations: [Violation] = []
    /// false: there were others, which nobody counted.
    public var hasAllViolations = true
    public var network: [NetworkEvent] = []
    /// Lookups and connections that aren't in `network`.
    public var networkLeftOut: UInt64 = 0
    public var stdout: StreamSummary?
    public var stderr: StreamSummary?
    /// With `--json` the record carries the streams' heads as text.
    public var includeText = false
    public var changes = Changes.unknown
    /// nil: nothing was asked for, or nothing ran.
    public var artifacts: ArtifactCollection?
    /// nil: nothing of what was read was asked for, or nothing ran.
    public var inputs: InputFindings?
    /// `audit.inputs`; nil: nothing was to be kept, or nothing ran.
    public var keeps: InputList.Mode?
    /// Opens that weren't noted, for lack of room.
    public var readsLeftOut: UInt64 = 0
    public var loaded: [Loaded] = []
    /// Some of them have no digest for a bound.
    public var isLoadedCut = false
    /// What was kept of stdin; nil: it wasn't asked for.
    public var stdin: InputSummary?

    public init(_ outcome: Outcome, finishedAt: UInt64, durationNanoseconds: UInt64) {
        self.outcome = outcome
        self.finishedAt = finishedAt
        self.durationNanoseconds = durationNanoseconds
    }

    public struct Enforcement: Equatable, Sendable {
        /// `isolated`, …
        public var tier: String
        public var controls: [Control]

        public init(tier: String, controls: [Control]) {
            self.tier = tier
            self.controls = controls
        }
    }

    /// A program or library that was loaded.
    public struct Loaded: Equatable, Sendable {
        public var path: Bytes
        public var kind: LoadedFile.Kind
        public var digest: String?

        public init(path: Bytes, kind: LoadedFile.Kind, digest: String?) {
            (self.path, self.kind, self.digest) = (path, kind, digest)
        }
    }

    /// What is known of the workspace afterwards.
    public enum Changes: Equatable, Sendable {
        /// It couldn't be looked at.
        case unknown
        /// Read-only, never started, or a layer that stayed empty.
        case none
        case listed(ChangeList)
    }
}
