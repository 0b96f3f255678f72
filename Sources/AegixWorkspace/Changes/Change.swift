// Pure data. What a run did to a workspace: `changes[]`.

import AegixSystem
import Glibc

/// One path that isn't as the run found it.
public struct Change: Equatable, Sendable {
    /// Relative to the workspace's top, which is the empty path.
    public var path: Bytes
    public var kind: Kind
    /// Where it was before, of `renamed`.
    public var from: Bytes?
    /// A hard link of the file at this path of the workspace, where it has more names than one: the first of them.
    public var linkOf: Bytes?
    /// nil: nothing was there.
    public var before: Entry?
    /// nil: nothing is there any more.
    public var after: Entry?
    public var flags: Set<Flag> = []

    public init(_ path: Bytes, _ kind: Kind, before: Entry?, after: Entry?) {
        self.path = path
        self.kind = kind
        self.before = before
        self.after = after
    }

    public enum Kind: String, CaseIterable, Sendable {
        case added, modified, deleted, renamed
        /// Nothing but attributes: permissions, time, user xattrs.
        case mode
        /// A symlink is there now that wasn't, or pointed elsewhere.
        case symlink
    }

    /// What a reviewer has to know of it, in the order of their weight.
    public enum Flag: String, CaseIterable, Sendable {
        /// Made where the policy's `files.deny` allows nothing: never applied.
        case denied
        /// Named by the policy's `protect`, or part of a git directory that the host's git obeys.
        case protected
        /// A secret of the run is in it: an apply warns, and no export may take it along.
        case secret
        /// Host programs run what lies here without being asked: hooks, editors' tasks, build files.
        case executes
        /// A setuid or setgid bit, which is never applied.
        case setuid
        /// A FIFO, socket or device: never applied.
        case special
        /// The base changed while the run was going: whether the run saw the old or the new can't be told.
        case raced
        /// A user's overlay can't write through hard links: the other names keep the old content.
        case unlinked
        /// Changed in place, and the file has other names: they show the same, wherever they are.
        case linked
        /// Too large to be read, or closed to us: there is no digest.
        case undigested
        /// Deeper than is looked into: what lies beneath isn't listed.
        case deeper
    }
}

extension Change {
    /// It reaches beyond the workspace.
    public var isRisky: Bool { !flags.isDisjoint(with: [.denied, .protected, .secret, .executes]) }
}

/// What lies at a path, as far as a workspace carries it.
public struct Entry: Equatable, Sendable {
    public var kind: Kind
    /// Permission bits, sticky included, setuid and setgid not.
    public var mode: mode_t
    /// Bytes of a file.
    public var size: UInt64
    /// Nanoseconds since 1970.
    public var modified: Int64
    /// SHA-256 of a file's content, in hexadecimal.
    public var digest: String?
    /// Where a symlink points.
    public var target: Bytes?
    /// SHA-256 over the names and values of user xattrs; nil: there are none.
    public var attributes: String?
    /// Seen while it was read; not written down but as a flag.
    public var holdsSecret = false
    /// What it was as an object on disk, to find it unchanged without reading it.
    public var identity: Identity

    public enum Kind: String, CaseIterable, Sendable {
        case file, directory, symlink, fifo, socket, device

        public init(_ type: mode_t) {
            switch type {
            case S_IFREG: self = .file
            case S_IFDIR: self = .directory
            case S_IFLNK: self = .symlink
            case S_IFIFO: self = .fifo
            case S_IFSOCK: self = .socket
            default: self = .device
            }
        }

        /// Something that lies on a disk and has a content of its own.
        public var isPlain: Bool { self == .file || self == .directory || self == .symlink }
    }

    public struct Identity: Equatable, Hashable, Sendable {
        public var device: UInt64
        public var inode: UInt64
        public var changed: Int64
        /// Names that the file has.
        public var links: UInt64

        public init(device: UInt64, inode: UInt64, changed: Int64, links: UInt64) {
            self.device = device
            self.inode = inode
            self.changed = changed
            self.links = links
        }
    }

    public init(
        _ kind: Kind, mode: mode_t, size: UInt64, modified: Int64, digest: String? = nil, target: Bytes? = nil,
        attributes: String? = nil, identity: Identity
    ) {
        self.kind = kind
        self.mode = mode
        self.size = size
        self.modified = modified
        self.digest = digest
        self.target = target
        self.attributes = attributes
        self.identity = identity
    }

    public init(_ facts: FileFacts) {
        let kind = Kind(facts.type)
        self.init(
            kind, mode: facts.permissions & 0o1777, size: kind == .file ? facts.size : 0, modified: facts.modified,
            identity: Identity(
                device: facts.device, inode: facts.inode, changed: facts.changed, links: facts.links))
    }

    /// The same content under whatever attributes. What has no digest is the same only as the same object.
    public func hasContent(of other: Entry) -> Bool {
        guard kind == other.kind else { return false }
        switch kind {
        case .file:
            if let digest, let theirs = other.digest { return digest == theirs }
            return identity == other.identity && size == other.size && modified == other.modified
        case .symlink: return target == other.target
        case .directory: return true
        case .fifo, .socket, .device: return identity == other.identity
        }
    }

    /// Permissions, xattrs and, but for a directory and a symlink, the time.
    public func hasAttributes(of other: Entry) -> Bool {
        if attributes != other.attributes { return false }
        switch kind {
        case .symlink: return true
        case .directory: return mode == other.mode
        default: return mode == other.mode && modified == other.modified
        }
    }
}

/// All changes of a run, in the order of their paths' bytes, a directory before what is in it.
public struct ChangeList: Equatable, Sendable {
    public var changes: [Change]
    /// Which bounds cut it short. A list that was cut isn't applied.
    public var cut: Set<Bound>

    public enum Bound: String, CaseIterable, Sendable {
        case entries, depth, bytes, time
    }

    public init(_ changes: [Change] = [], cut: Set<Bound> = []) {
        self.changes = changes
        self.cut = cut
    }
}

extension ChangeList {
    /// For a layer that several runs wrote: `before` is what the first of them found. Where the workspace has changed since, nobody
    /// saw it, and that is flagged.
    public func since(_ earlier: ChangeList) -> ChangeList {
        let known = Dictionary(earlier.changes.map { ($0.path, $0) }, uniquingKeysWith: { first, _ in first })
        var list = self
        for index in list.changes.indices {
            guard let first = known[list.changes[index].path], first.from == list.changes[index].from else { continue }
            let now = list.changes[index].before
            let isSame =
                switch (first.before, now) {
                case (nil, nil): true
                case (let old?, let new?): new.hasContent(of: old) && new.hasAttributes(of: old)
                default: false
                }
            if first.flags.contains(.raced) { list.changes[index].flags.insert(.raced) }
            if isSame { continue }
            list.changes[index].before = first.before
            list.changes[index].flags.insert(.raced)
            if list.changes[index].kind != .symlink {
                list.changes[index].kind = first.before == nil ? .added : .modified
            }
        }
        return list
    }
}

extension ChangeList {
    /// What a sandbox that lives on has to know of its base: also where the workspace has meanwhile become what the layer holds, since
    /// the layer goes on hiding what the host makes of it later.
    public func remembering(_ earlier: ChangeList) -> ChangeList {
        let paths = Set(changes.map(\.path))
        return ChangeList(changes + earlier.changes.filter { !paths.contains($0.path) }, cut: cut)
    }
}

/// How much of a tree is looked into.
public struct ListingBounds: Sendable {
    public var entries = 100_000
    public var depth = 256
    /// Read for digests.
    public var bytes: UInt64 = 8 << 30
    /// Nanoseconds.
    public var time: UInt64 = 120_000_000_000
    /// Looked for in what is read.
    public var secrets: Redactor?

    public init() {}
}
