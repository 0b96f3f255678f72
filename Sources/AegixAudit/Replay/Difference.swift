// Pure data. What two runs differ in.

import AegixSystem

/// One thing that isn't the same in two runs.
public struct Difference: Equatable, Sendable {
    public var area: Area
    /// What of the area: a variable's name, a path, `kernel`. Bytes of anybody's.
    public var subject: Bytes
    /// nil: it wasn't there, or isn't known.
    public var before: Bytes?
    public var after: Bytes?
    /// A sentence, where the two values don't say enough.
    public var note: String?
    /// Of an output: the likeliest reason.
    public var cause: Cause?

    public init(
        _ area: Area, _ subject: Bytes, before: Bytes? = nil, after: Bytes? = nil, note: String? = nil
    ) {
        self.area = area
        self.subject = subject
        self.before = before
        self.after = after
        self.note = note
    }

    /// In the order in which they are told: what may be a cause, then what came out.
    public enum Area: String, CaseIterable, Sendable {
        case command, policy, enforcement, programs, environment, host, inputs, limits, network
        case exit, stdout, stderr, changes, artifacts, processes

        public var isOutput: Bool {
            switch self {
            case .exit, .stdout, .stderr, .changes, .artifacts, .processes: true
            default: false
            }
        }
    }

    public enum Cause: Equatable, Sendable {
        /// Another difference, by its place in the list of causes.
        case difference(Area, Bytes)
        /// It came out differently the second time, too.
        case nondeterministic
        /// It came out the same way the second time, and nothing that was compared differs.
        case unexplained
    }
}

/// What a comparison found.
public struct Comparison: Equatable, Sendable {
    public var causes: [Difference] = []
    public var outputs: [Difference] = []
    /// What differs and isn't held against the run: measured durations, names that are made up in /tmp. One sentence each.
    public var disregarded: [String] = []
    /// What couldn't be compared, since one of the records doesn't say.
    public var unknown: [String] = []

    public init() {}

    /// The same came out.
    public var isSame: Bool { outputs.isEmpty }
}
