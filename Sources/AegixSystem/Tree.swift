// Side effects: reads beneath an open directory. The one way in which files that a command could have made are walked.

import CAegix
import Glibc

/// An open directory of a tree that somebody hostile may have made, or may change while it is read. Nothing is reached from it
/// but by openat2 beneath it: never through a symlink, a magic link, `..` or a mount point, and no FIFO, socket or device is ever
/// opened.
public final class Tree {
    public let descriptor: Descriptor

    public init(owning descriptor: consuming Descriptor) { self.descriptor = descriptor }

    /// The top of a tree: an absolute path whose last name is a directory and no link.
    public init(at path: Bytes) throws(SystemError) {
        descriptor = try Descriptor.open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
    }

    public var raw: Int32 { descriptor.raw }

    /// A directory beneath, by a path of any depth; the empty path is this one once more.
    public func directory(_ path: Bytes) throws(SystemError) -> Tree {
        try Tree(owning: open(path.isEmpty ? Bytes(".") : path, O_RDONLY | O_DIRECTORY))
    }

    /// The directory that holds what `path` names.
    public func parent(of path: Bytes) throws(SystemError) -> Tree { try directory(Path.relativeParent(path)) }

    /// A regular file, for reading; anything else is refused unopened.
    public func file(_ path: Bytes) throws(SystemError) -> Descriptor {
        guard let facts = try facts(path) else { throw SystemError("open", path, errno: ENOENT) }
        if !facts.isFile { throw SystemError("open", path, errno: EINVAL) }
        let file = try open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY)
        if !(try FileFacts(of: file)).isFile { throw SystemError("open", path, errno: EINVAL) }
        return file
    }

    /// What a path names, not opened: for its attributes. A link is named itself.
    public func place(_ path: Bytes) throws(SystemError) -> Descriptor {
        try open(path.isEmpty ? Bytes(".") : path, Descriptor.pathOnly | O_NOFOLLOW)
    }

    /// What a path of this tree names, no link followed; nil: nothing.
    public func facts(_ path: Bytes) throws(SystemError) -> FileFacts? {
        let parent = Path.relativeParent(path)
        if !parent.isEmpty {
            do throws(SystemError) {
                return try self.parent(of: path).facts(name: Path.name(path))
            } catch {
                // ELOOP, ENOTDIR: a link or a file stands where a directory would have to be. ENAMETOOLONG: no name can be like that.
                if [ENOENT, ENOTDIR, ELOOP, ENAMETOOLONG].contains(error.errno) { return nil }
                throw error
            }
        }
        return try facts(name: path)
    }

    /// The same of a name right in this directory.
    public func facts(name: Bytes) throws(SystemError) -> FileFacts? {
        var facts = stat()
        if name.withCString({ fstatat(raw, $0, &facts, AT_SYMLINK_NOFOLLOW) }) == 0 { return FileFacts(facts) }
        if errno == ENOENT || errno == ENAMETOOLONG { return nil }
        throw SystemError.last("stat", name)
    }

    /// Names and kinds, in the order of their bytes; without those of the kind `skipped`.
    public func entries(but skipped: UInt8? = nil) throws(SystemError) -> [DirectoryEntry] {
        var found: [DirectoryEntry] = []
        try DirectoryListing.each(try open(Bytes("."), O_RDONLY | O_DIRECTORY), but: skipped) { entry in
            found.append(entry)
            return true
        }
        return found.sorted { $0.name.precedes($1.name) }
    }

    /// The same as far as they are read by then, by the monotonic clock. `isCut`: there are more, any may be missing, and those
    /// that are there are in no order.
    public func entries(until deadline: UInt64) throws(SystemError) -> (entries: [DirectoryEntry], isCut: Bool) {
        var found: [DirectoryEntry] = []
        var isCut = false
        try DirectoryListing.each(try open(Bytes("."), O_RDONLY | O_DIRECTORY)) { entry in
            if found.count % 512 == 511, Clock.monotonic() >= deadline { isCut = true }
            if !isCut { found.append(entry) }
            return !isCut
        }
        return (isCut ? found : found.sorted { $0.name.precedes($1.name) }, isCut)
    }

    /// The text of a symlink.
    public func link(_ name: Bytes) throws(SystemError) -> Bytes {
        var buffer = Bytes(repeating: 0, count: 4096)
        let room = buffer.count
        let count = name.withCString { aegix_readlinkat(raw, $0, &buffer, room) }
        if count < 0 { throw SystemError.last("readlink", name) }
        return Bytes(buffer[..<count])
    }

    /// A path longer than the kernel takes at once, as a command can make one, is gone piece by piece.
    private func open(_ path: Bytes, _ flags: Int32) throws(SystemError) -> Descriptor {
        var at: Tree?
        var rest = path[...]
        while rest.count > Tree.longest, let split = rest.prefix(Tree.longest).lastIndex(of: Path.slash) {
            let piece = Bytes(rest[..<split])
            let found = piece.withCString {
                aegix_open_within(at?.raw ?? raw, $0, Descriptor.pathOnly | O_DIRECTORY)
            }
            if found < 0 { throw SystemError.last("open", path) }
            at = Tree(owning: Descriptor(owning: found))
            rest = rest[(split + 1)...]
        }
        let last = Bytes(rest)
        let number = last.withCString { aegix_open_within(at?.raw ?? raw, $0, flags) }
        if number < 0 { throw SystemError.last("open", path) }
        return Descriptor(owning: number)
    }

    /// PATH_MAX without the NUL.
    private static let longest = 4095
}

/// What stat tells of an entry.
public struct FileFacts: Equatable, Sendable {
    public var device: UInt64
    public var inode: UInt64
    public var links: UInt64
    /// Type and permissions.
    public var mode: mode_t
    public var owner: uid_t
    public var group: gid_t
    public var size: UInt64
    /// Allocated on disk.
    public var bytes: UInt64
    /// Of the device that it is.
    public var represents: UInt64
    /// Nanoseconds since 1970.
    public var modified: Int64
    public var changed: Int64

    public init(_ facts: stat) {
        device = UInt64(facts.st_dev)
        inode = UInt64(facts.st_ino)
        links = UInt64(facts.st_nlink)
        mode = facts.st_mode
        owner = facts.st_uid
        group = facts.st_gid
        size = UInt64(max(0, facts.st_size))
        bytes = UInt64(max(0, facts.st_blocks)) * 512
        represents = UInt64(facts.st_rdev)
        modified = Int64(facts.st_mtim.tv_sec) &* 1_000_000_000 &+ Int64(facts.st_mtim.tv_nsec)
        changed = Int64(facts.st_ctim.tv_sec) &* 1_000_000_000 &+ Int64(facts.st_ctim.tv_nsec)
    }

    public init(of file: borrowing Descriptor) throws(SystemError) {
        var facts = stat()
        if fstat(file.raw, &facts) < 0 { throw SystemError.last("fstat") }
        self.init(facts)
    }

    /// The same object, as far as its content is concerned, with nothing written to it since.
    public func isSame(_ other: FileFacts) -> Bool {
        (device, inode, size, modified, changed) == (
            other.device, other.inode, other.size, other.modified, other.changed
        )
    }

    public var type: mode_t { mode & S_IFMT }
    public var permissions: mode_t { mode & 0o7777 }
    public var isFile: Bool { type == S_IFREG }
    public var isDirectory: Bool { type == S_IFDIR }
    public var isLink: Bool { type == S_IFLNK }
    /// overlayfs: this name is gone.
    public var isWhiteout: Bool { type == S_IFCHR && represents == 0 }
}

extension Path {
    /// Of a path without a leading slash; the top is empty.
    public static func relativeParent(_ path: Bytes) -> Bytes {
        guard let split = path.lastIndex(of: slash) else { return [] }
        return Bytes(path[..<split])
    }
}
