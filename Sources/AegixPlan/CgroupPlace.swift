// Pure data. Where the kernel would hold memory, processes and CPU of a run; the search for it is in AegixSandbox.

import AegixSystem

/// Where a run's own cgroup can be made.
public struct CgroupPlace: Equatable, Sendable {
    /// The cgroup directory under which a run's own is made: `/sys/fs/cgroup/aegix`, or one like it in a delegated
    /// subtree. It may have to be made itself.
    public var parent: Bytes
    public var how: How

    public enum How: Equatable, Sendable {
        /// An ancestor of aegix's own cgroup that is the caller's to use.
        case delegated
        /// root's, right under the top of the hierarchy.
        case slice
        /// Given to aegix by the caller's systemd when it was asked.
        case scope
    }

    public init(parent: Bytes, how: How) {
        self.parent = parent
        self.how = how
    }
}

/// Why there is no such place, in one sentence without a period, and the command that gives one.
public struct CgroupLack: Equatable, Sendable {
    public var reason: String
    public var remedy: String

    public init(reason: String, remedy: String) {
        self.reason = reason
        self.remedy = remedy
    }
}
