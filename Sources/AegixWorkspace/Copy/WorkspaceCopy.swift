// Pure data. A copy of a workspace that a run works on instead of an overlay.

import AegixSystem
import Glibc

/// What is copied where, and where the changes go afterwards.
public struct WorkspaceCopy: Equatable, Sendable {
    /// Absolute; `device` and `inode` say which directory is meant.
    public var source: Bytes
    public var device: UInt64
    public var inode: UInt64
    public var destination: Bytes
    /// Where the run's changes go, in the form of an overlay's upper directory.
    public var upper: Bytes
    /// Denied or aegix's own: not copied.
    public var leftOut: [Bytes]
    /// Something empty stands for what is left out, so that a mask can be mounted there.
    public var keepsPlaces = false
    /// Root's: every file keeps its owner on the disk.
    public var keepsOwners = false
    /// Root's, where no mount can be id-mapped: the copy belongs to the ids that the command has outside.
    public var shift: OwnerShifts?
    /// Why there is no overlay, where one was wanted.
    public var reason: String?
    public var mostEntries = 500_000
    public var mostBytes: UInt64 = 4 << 30

    public init(
        source: Bytes, device: UInt64, inode: UInt64, destination: Bytes, upper: Bytes, leftOut: [Bytes]
    ) {
        self.source = source
        self.device = device
        self.inode = inode
        self.destination = destination
        self.upper = upper
        self.leftOut = leftOut
    }

    static let deepest = 256

    /// What an entry was when it was copied.
    public enum Known: Equatable, Sendable {
        case directory(mode: mode_t, attributes: String?)
        case file(File)
        case link(Bytes)

        public struct File: Equatable, Sendable {
            var mode: mode_t
            var size: UInt64
            var modified: Int64
            var digest: String
            var attributes: String?
            /// In the copy.
            var inode: UInt64
            var links: UInt64
        }

        var mode: mode_t? {
            switch self {
            case .directory(let mode, _): mode
            case .file(let file): file.mode
            case .link: nil
            }
        }
    }
}
