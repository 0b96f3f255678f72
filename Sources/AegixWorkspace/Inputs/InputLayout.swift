// Side effects: makes a workspace in an empty directory from what was kept of one. Who kept it may be a stranger.

import AegixSystem
import CAegix
import Glibc

/// Lays a workspace out again. Names go right into directories that were just made here, one after the other, so nothing that the list
/// says leads out of them; a symlink is made and never followed. A file whose content wasn't kept is there, as long as it was, and
/// empty of content. Nothing else is made: no FIFO, socket or device.
public final class InputLayout {
    public struct Fault: Error, Sendable {
        public var path: Bytes
        public var error: SystemError
    }

    /// Paths of files that are there without their content.
    public private(set) var hollow: Set<Bytes> = []
    /// What isn't there: neither file, directory nor symlink, or a symlink of which nobody knows where it pointed.
    public private(set) var missing: [Input] = []

    private let list: InputList
    private let owner: (uid: uid_t, gid: gid_t)?
    private let copier = FileCopy()
    private var length: UInt64 = 0
    /// That may still be taken for files without content.
    private var blocks: UInt64 = 256 << 20

    /// Of all files, as they look: a list could name exabytes.
    private static let longest: UInt64 = 1 << 40
    /// Of all contents: a list could name one of them a hundred thousand times.
    private let longestCopied: UInt64
    private var copied: UInt64 = 0

    /// - owner: whose all of it shall be; nil: the caller's.
    public init(_ list: InputList, owner: (uid: uid_t, gid: gid_t)?, longestCopied: UInt64 = 16 << 30) {
        (self.list, self.owner, self.longestCopied) = (list, owner, longestCopied)
    }

    /// - store: the run directory with the contents.
    public func make(in top: Tree, from store: borrowing Descriptor) throws(Fault) {
        var directories: [Input] = []
        for input in list.inputs {
            do throws(SystemError) {
                if input.kind == .directory {
                    if !input.path.isEmpty { try top.parent(of: input.path).makeDirectory(Path.name(input.path)) }
                    directories.append(input)
                } else {
                    try make(input, in: try top.parent(of: input.path), store)
                }
            } catch {
                throw Fault(path: input.path, error: error)
            }
        }
        // From the bottom up: what is put into a directory changes its time, and its mode may close it.
        for directory in directories.reversed() {
            do throws(SystemError) {
                try finish(try top.place(directory.path), directory)
            } catch {
                throw Fault(path: directory.path, error: error)
            }
        }
    }

    private func make(_ input: Input, in parent: Tree, _ store: borrowing Descriptor) throws(SystemError) {
        let name = Path.name(input.path)
        switch input.kind {
        case .directory: return
        case .other:
            missing.append(input)
            return
        case .symlink:
            guard let target = input.target, !target.isEmpty, !target.contains(0) else {
                missing.append(input)
                return
            }
            try parent.makeLink(to: target, name)
        case .file:
            length += input.size
            if length > InputLayout.longest { throw SystemError("truncate", input.path, errno: EFBIG) }
            if input.isKept { copied += input.size }
            if copied > longestCopied { throw SystemError("write", input.path, errno: EFBIG) }
            let file = try parent.create(name)
            if input.isKept, let digest = input.digest {
                let content = try InputList.open(digest, in: store)
                let arrived = try copier.content(of: content, try FileFacts(of: content), to: file)
                if arrived != digest { throw SystemError("read", input.path, errno: EUCLEAN) }
            } else {
                try extend(file, input)
                hollow.insert(input.path)
            }
        }
        try finish(try parent.place(name), input)
    }

    /// With blocks on the disk, which `ls` and `du` count, as long as they aren't many.
    private func extend(_ file: borrowing Descriptor, _ input: Input) throws(SystemError) {
        if ftruncate(file.raw, off_t(input.size)) < 0 { throw SystemError.last("truncate", input.path) }
        if input.size == 0 || input.size > blocks { return }
        // A file system without it, or without room, leaves the file as long, and sparse.
        if posix_fallocate(file.raw, 0, off_t(input.size)) == 0 { blocks -= input.size }
    }

    private func finish(_ place: borrowing Descriptor, _ input: Input) throws(SystemError) {
        if let owner, aegix_change_owner(place.raw, owner.uid, owner.gid) < 0 {
            throw SystemError.last("chown", input.path)
        }
        // Of what was denied the mode isn't known. It is masked again, and before that looked into.
        let mode = input.reason == .denied ? (input.kind == .directory ? 0o700 : 0o600) : input.mode & 0o1777
        if input.kind != .symlink, aegix_change_mode(place.raw, mode) < 0 {
            throw SystemError.last("chmod", input.path)
        }
        try FileAttributes.stamp(place, input.modified)
    }
}
