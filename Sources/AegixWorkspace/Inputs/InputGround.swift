// Pure data. What a survey of the inputs has to know of a run, and what comes of it.

import AegixPolicy
import AegixSystem

/// What of the inputs is asked for, and what has to be known of the run.
public struct InputGround: Sendable {
    public var workspace: Bytes
    /// Where it lies on the host, if elsewhere: a place of aegix's own, to which the way is closed for `identity`.
    public var source: Bytes?
    /// That the run had: another one may have come to its path since.
    public var directory: (device: UInt64, inode: UInt64)
    public var identity: ReaderIdentity
    /// By the clock that stamps files (`Clock.tick`): what has an older stamp is what it was.
    public var began: Int64
    /// What the command was seen to do, by canonical paths from the root.
    public var uses: [Bytes: Set<Input.Use>] = [:]
    /// Directories and files in view besides, whose files are told and not kept.
    public var views: [View] = []
    /// Masked in the run, from the root.
    public var hidden: Set<Bytes> = []
    /// `files.deny`, from the root: for what was made later.
    public var denied: [PathPattern] = []
    public var redactor: Redactor?

    public struct View: Sendable {
        public var path: Bytes
        public var isFile: Bool
        public var device: UInt64
        public var inode: UInt64

        public init(_ path: Bytes, isFile: Bool, device: UInt64, inode: UInt64) {
            (self.path, self.isFile, self.device, self.inode) = (path, isFile, device, inode)
        }
    }

    public init(
        workspace: Bytes, _ directory: (device: UInt64, inode: UInt64), identity: ReaderIdentity, began: Int64
    ) {
        (self.workspace, self.directory, self.identity, self.began) = (workspace, directory, identity, began)
    }

    func top() throws(SystemError) -> Tree {
        if let source { return try Tree(at: source) }
        return try identity.reading { () throws(SystemError) in try Tree(at: workspace) }
    }
}

/// What came of it.
public struct InputFindings: Sendable {
    /// nil: nothing was to be kept, or couldn't be.
    public var list: InputList?
    /// What was read or kept: the record's array, in the order of the paths' bytes.
    public var told: [Input] = []
    /// Digests of files in view, whether they are told or not, by their paths from the root.
    public var digests: [Bytes: String] = [:]
    public var cut: Set<InputList.Bound> = []
    /// Contents that were kept, and their bytes.
    public var contents = 0
    public var bytes: UInt64 = 0
    /// Names that hold a secret and aren't listed.
    public var nameless = 0
    /// Why nothing was kept, or not all.
    public var error: String?
    /// It is a failure, and not what was to be expected.
    public var isFailed = false

    public init() {}
}
