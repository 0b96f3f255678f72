// Pure data. What a learning run showed, in the words that a policy has for it.

import AegixSystem

/// Everything in here was chosen by the program that ran: names are bytes, and none is trusted to be what it says.
public struct Observations: Sendable {
    /// `git`: what the policy is named after.
    public var command: Bytes
    public var execs: [Exec] = []
    /// Not all of them were kept.
    public var hasMoreExecs = false
    /// The first program that held another one as a debugger does.
    public var tracer: Bytes?
    public var files: [File] = []
    public var hasMoreFiles = false
    /// The first thing that was changed, or tried to be, in the workspace.
    public var workspaceChange: Change?
    public var hosts: [Host] = []
    public var hasMoreHosts = false
    public var nanoseconds: UInt64 = 0
    /// Of all together where that is known, else of the largest process.
    public var peakBytes: UInt64 = 0
    public var execCount: UInt64 = 0

    public init(command: Bytes) { self.command = command }

    public struct Exec: Equatable, Sendable {
        /// As the sandbox sees it, through symlinks.
        public var program: Bytes
        public var argv: [Bytes]
        /// The program that started it; nil: it is the command itself, or isn't known.
        public var by: Bytes?
        /// A name by which a search along PATH finds this very file.
        public var name: Bytes?
        /// Somebody was asked, by a rule that stays.
        public var wasAsked = false
        /// An interpreter, by the first line of a script whose name is the last word, by whatever path it was called.
        public var endsWithScript = false

        public init(program: Bytes, argv: [Bytes], by: Bytes?, name: Bytes?, wasAsked: Bool) {
            self.program = program
            self.argv = argv
            self.by = by
            self.name = name
            self.wasAsked = wasAsked
        }
    }

    /// A file or directory that a rule of `files.read` or `files.write` brought into view.
    public struct File: Equatable, Sendable {
        public enum Use: Sendable { case looked, read, listed, written, named }

        public var rule: Policy.PathRule
        /// Names from the place that the rule stands for.
        public var names: [Bytes]
        public var use: Use
        public var isDirectory: Bool
        /// The directory has a symbolic link that was gone through.
        public var hasLink = false
        public var by: Bytes

        public init(rule: Policy.PathRule, names: [Bytes], use: Use, isDirectory: Bool, hasLink: Bool, by: Bytes) {
            self.rule = rule
            self.names = names
            self.use = use
            self.isDirectory = isDirectory
            self.hasLink = hasLink
            self.by = by
        }
    }

    public struct Change: Equatable, Sendable {
        public var path: Bytes
        /// Empty: not known.
        public var by: Bytes

        public init(path: Bytes, by: Bytes) {
            self.path = path
            self.by = by
        }
    }

    /// A name that was looked up, or a connection that was let through.
    public struct Host: Equatable, Sendable {
        public var name: String?
        public var address: HostAddress?
        /// nil: it was looked up only.
        public var port: UInt16?
        public var by: Bytes

        public init(name: String?, address: HostAddress?, port: UInt16?, by: Bytes) {
            self.name = name
            self.address = address
            self.port = port
            self.by = by
        }
    }
}
