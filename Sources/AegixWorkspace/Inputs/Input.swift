// Pure data. What a run read, and what of the workspace is kept so that it can be run again: `inputs[]` and inputs.jsonl.

import AegixSystem
import Glibc

/// A path as it was when the run began.
public struct Input: Equatable, Sendable {
    /// Relative to the workspace's top, which is the empty path; from the root where it isn't in the workspace.
    public var path: Bytes
    public var kind: Kind
    /// Permission bits, sticky included, setuid and setgid not.
    public var mode: mode_t = 0
    /// Nanoseconds since 1970.
    public var modified: Int64 = 0
    public var size: UInt64 = 0
    /// SHA-256 of a file's content, in hexadecimal.
    public var digest: String?
    /// Where a symlink points.
    public var target: Bytes?
    /// The content is in `inputs/` by its digest.
    public var isKept = false
    /// Why it isn't kept, or has no digest; nil where nobody asked for it.
    public var reason: Reason?
    public var uses: Set<Use> = []

    public init(_ path: Bytes, _ kind: Kind) { (self.path, self.kind) = (path, kind) }

    public enum Kind: String, CaseIterable, Sendable {
        case directory, file, symlink
        /// A FIFO, socket or device, which is never opened.
        case other

        init(_ facts: FileFacts) {
            switch facts.type {
            case S_IFDIR: self = .directory
            case S_IFREG: self = .file
            case S_IFLNK: self = .symlink
            default: self = .other
            }
        }
    }

    public enum Reason: String, CaseIterable, Sendable {
        /// It isn't known to be what it was when the run began.
        case changed
        /// The run made it: nothing of that name was there when it ended but in its layer.
        case made
        /// A secret of the run is in it.
        case secret
        /// `files.deny`, or aegix's own.
        case denied
        /// The command couldn't read it either.
        case unreadable
        /// Another file system, which isn't entered.
        case mount
        case special
        /// No room was left for it, or no time.
        case bytes, time
        /// A directory deeper than is looked into.
        case depth
    }

    /// What the command was seen to do with it.
    public enum Use: String, CaseIterable, Sendable {
        /// A directory was opened.
        case listed
        /// It got another name, or its name was taken away.
        case named
        /// A symbolic link that was gone through.
        case link
        /// Opened so that what it held mattered: for reading, or for writing without being emptied.
        case read
        case written
    }
}

/// All names of a workspace, in the order of their bytes, a directory before what is in it.
public struct InputList: Equatable, Sendable {
    public var inputs: [Input] = []
    public var mode: Mode
    /// Which bounds cut it short.
    public var cut: Set<Bound> = []

    public enum Mode: String, CaseIterable, Sendable {
        /// The content of what was read is kept.
        case read
        case all
    }

    public enum Bound: String, CaseIterable, Sendable {
        case bytes
        /// Names, or their bytes together.
        case count
        case depth
        case time
    }

    public init(_ mode: Mode) { self.mode = mode }

    /// The contents, each once.
    public var contents: [String: UInt64] {
        var found: [String: UInt64] = [:]
        for input in inputs where input.isKept {
            if let digest = input.digest { found[digest] = input.size }
        }
        return found
    }
}

public struct InputBounds: Sendable {
    public var count = 100_000
    /// Of all paths together.
    public var names = 32 << 20
    public var depth = 128
    /// Kept.
    public var bytes: UInt64 = 1 << 30
    /// Read for digests alone.
    public var digested: UInt64 = 4 << 30
    /// Nanoseconds.
    public var time: UInt64 = 60_000_000_000

    public init() {}
}
