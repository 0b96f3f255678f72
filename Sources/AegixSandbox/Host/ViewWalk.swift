// Side effects: walks the host's directories by descriptor, bounded, never through a symlink.

import AegixPlan
import AegixPolicy
import AegixSystem
import CAegix
import Glibc

/// Looks through the views, for what has to be hidden (DeniedSearch) and for what may not be in a writable one
/// (WritableCheck). A walk that meets a bound refuses the run: a rule that can't be checked isn't held.
struct ViewWalk {
    static let mostEntries = 2_000_000
    static let deepest = 256

    let facts: HostFacts
    private var visited = 0

    init(facts: HostFacts) { self.facts = facts }

    func mounts() throws(Failure) -> [(point: Bytes, type: Bytes)] {
        do {
            return try MountTable().mounts
        } catch {
            throw Failure("view.walk", "can't tell what is mounted", error)
        }
    }

    struct Inode: Hashable {
        var device: UInt64
        var inode: UInt64
    }

    struct Entry {
        var inode: Inode
        var mode: mode_t
        /// A file that has a second name somewhere.
        var hasOtherNames = false

        init(_ facts: stat) {
            inode = Inode(device: UInt64(facts.st_dev), inode: UInt64(facts.st_ino))
            mode = facts.st_mode
            hasOtherNames = kind == S_IFREG && facts.st_nlink > 1
        }

        init(device: UInt64, inode: UInt64, isDirectory: Bool, permissions: UInt32 = 0) {
            self.inode = Inode(device: device, inode: inode)
            mode = permissions | (isDirectory ? S_IFDIR : S_IFREG)
        }

        init(_ root: PathFact) {
            self.init(
                device: root.device, inode: root.inode, isDirectory: root.kind == .directory, permissions: root.mode)
        }

        var kind: mode_t { mode & S_IFMT }
        var isChannel: Bool { kind == S_IFSOCK || kind == S_IFIFO }

        /// Set-group-ID without group-exec is no privilege.
        var isPrivileged: Bool {
            kind == S_IFREG && (mode & S_ISUID != 0 || mode & S_ISGID != 0 && mode & S_IXGRP != 0)
        }
    }

    /// What a path leads to through symlinks; nil where it leads nowhere that the caller can reach.
    static func target(_ path: Bytes) throws(Failure) -> Entry? {
        var facts = stat()
        if path.withCString({ stat($0, &facts) }) == 0 { return Entry(facts) }
        let error = SystemError.last("stat", path)
        if [ENOENT, ENOTDIR, ELOOP, EACCES].contains(error.errno) { return nil }
        throw Failure("view.walk", "can't look at \(path.shown)", error)
    }

    mutating func walk(_ root: PathFact, _ each: (Bytes, Entry) throws -> Void) throws(Failure) {
        try walk(root.path, Entry(root), on: root.host, origin: root.origin, each)
    }

    /// - host: where it lies, if not at its path.
    mutating func walk(
        _ path: Bytes, _ root: Entry, on host: Bytes? = nil, origin: String, _ each: (Bytes, Entry) throws -> Void
    ) throws(Failure) {
        do {
            try each(path, root)
            if root.kind == S_IFDIR {
                try walk(try Descriptor.open(host ?? path, O_RDONLY | O_DIRECTORY), path, depth: 0, each)
            }
        } catch let failure as Failure {
            throw failure
        } catch let error as SystemError {
            throw Failure("view.walk", "can't look through \(path.shown) (\(origin))", error)
        } catch {
            throw Failure("view.walk", "can't look through \(path.shown): \(error)")
        }
    }

    private mutating func walk(
        _ directory: consuming Descriptor, _ path: Bytes, depth: Int, _ each: (Bytes, Entry) throws -> Void
    ) throws {
        if depth > ViewWalk.deepest { throw tooLarge(path) }
        let raw = directory.raw
        let again = try Descriptor.openBeneath(raw, Bytes("."), O_RDONLY | O_DIRECTORY)
        for item in try DirectoryListing.entries(again) {
            visited += 1
            if visited > ViewWalk.mostEntries { throw tooLarge(path) }
            var found = stat()
            let place = Path.join(path, item.name)
            if item.name.withCString({ fstatat(raw, $0, &found, AT_SYMLINK_NOFOLLOW) }) < 0 {
                let error = SystemError.last("stat", place)
                // Gone meanwhile, or another user's FUSE mount: closed to the command too.
                if error.errno == ENOENT || error.errno == EACCES { continue }
                throw error
            }
            let entry = Entry(found)
            try each(place, entry)
            if entry.kind != S_IFDIR { continue }
            do {
                try walk(
                    try Descriptor.openBeneath(raw, item.name, O_RDONLY | O_DIRECTORY), place, depth: depth + 1, each)
            } catch let error as SystemError where error.errno == EACCES || error.errno == ENOENT {
                // Closed to the caller, so to the command too, unless the command can open it with chmod.
                if error.errno == EACCES, found.st_uid == facts.uid { throw closed(place) }
            }
        }
    }

    private func closed(_ path: Bytes) -> Failure {
        Failure(
            "view.closed",
            "can't look into \(path.shown) for the policy's rules, and the command could open it with chmod. Make it "
                + "readable, or take it out of view", errno: EACCES)
    }

    private func tooLarge(_ path: Bytes) -> Failure {
        Failure(
            "view.bound",
            "can't check every file for the policy's rules: more than \(ViewWalk.mostEntries) entries or deeper than "
                + "\(ViewWalk.deepest) directories at \(path.shown)")
    }
}
