// Pure data. What was copied out of a workspace after a run: `artifacts[]` and `collection`.

import AegixSystem
import Glibc

/// A path that a pattern names: a file that was copied, or something that wasn't, and why.
public struct Artifact: Equatable, Sendable {
    /// From the workspace's top; the copy has the same beneath `artifacts/`.
    public var path: Bytes
    public var kind: Entry.Kind
    /// Permission bits that it had in the workspace. The copy has 0600.
    public var mode: mode_t
    public var source: Source
    /// Apparent, holes included.
    public var size: UInt64
    /// Of the copy; nil: there is none.
    public var digest: String?
    /// How often a secret's name stands in its place, in the copy.
    public var redacted: UInt64 = 0
    public var skipped: Reason?

    public enum Source: String, Sendable {
        /// What the run wrote.
        case layer
        /// The host's own workspace, as it is.
        case workspace
    }

    public enum Reason: String, CaseIterable, Sendable {
        case symlink, fifo, socket, device
        /// `files.deny`, or aegix's own.
        case denied
        /// The command couldn't have read it either, or it is closed.
        case unreadable
        /// Another file system, which isn't entered.
        case mount
        /// It doesn't fit in what `max_bytes` leaves.
        case maxBytes = "max_bytes"
        /// A directory deeper than is looked into.
        case depth
        /// The workspace's own file changed while the run worked on a copy.
        case raced
        /// A secret of the run is in its name.
        case secret

        init?(_ kind: Entry.Kind) {
            switch kind {
            case .symlink: self = .symlink
            case .fifo: self = .fifo
            case .socket: self = .socket
            case .device: self = .device
            case .file, .directory: return nil
            }
        }
    }
}

/// What came of a collection.
public struct ArtifactCollection: Equatable, Sendable {
    public var artifacts: [Artifact] = []
    /// The first of them, in the order of the walk.
    public var skipped: [Artifact] = []
    public var skippedCount: UInt64 = 0
    public var patterns: [Pattern]
    /// Bounds that were met, in the order of their names.
    public var bounds: Set<Bound> = []
    /// It stopped here, with all that `artifacts` has.
    public var error: String?
    /// `--out`.
    public var out: Out?

    public struct Pattern: Equatable, Sendable {
        public var text: String
        /// Files that were copied and what was skipped.
        public var matched: UInt64 = 0
    }

    public enum Bound: String, CaseIterable, Sendable {
        /// Files, or the bytes of their names.
        case count
        case depth
        /// Looked at.
        case entries
        case maxBytes = "max_bytes"
        case time
    }

    public struct Out: Equatable, Sendable {
        public var path: Bytes
        public var error: String?

        public init(path: Bytes) { self.path = path }
    }

    public init(_ patterns: [String]) { self.patterns = patterns.map { Pattern(text: $0) } }

    public var bytes: UInt64 { artifacts.reduce(0) { $0 + $1.size } }

    /// Copied and skipped ones, in the order of their paths' bytes.
    public var all: [Artifact] {
        (artifacts + skipped).sorted { $0.path.lexicographicallyPrecedes($1.path) }
    }
}

public struct ArtifactBounds: Sendable {
    public var bytes: UInt64
    public var files = 10_000
    /// Of the paths of all files.
    public var names = 8 << 20
    public var skipped = 1_000
    public var entries = 1_000_000
    public var depth = 128
    /// Nanoseconds.
    public var time: UInt64 = 600_000_000_000

    public init(bytes: UInt64) { self.bytes = bytes }
}
