// Side effects: reads a directory tree and writes another, by descriptor: no path is followed twice, no link at all.

import AegixPlan
import AegixSystem
import CAegix
import Glibc

/// Copies a workspace and remembers what every entry was, so that a change is told from the original afterwards. Bounded.
/// FIFOs, sockets and devices are never opened and aren't copied.
struct TreeCopy {
    /// What an entry was when it was copied.
    enum Known: Equatable {
        case directory(mode: mode_t)
        case file(mode: mode_t, size: Int64, seconds: Int, nanoseconds: Int, digest: String)
        case link(Bytes)

        var mode: mode_t? {
            switch self {
            case .directory(let mode), .file(let mode, _, _, _, _): mode
            case .link: nil
            }
        }
    }

    static let deepest = 256

    /// By path relative to the top, which is the empty one.
    private(set) var known: [Bytes: Known] = [:]
    /// FIFOs, sockets and devices; what the command's user may not read.
    private(set) var special = 0
    private(set) var unreadable = 0
    private var bytes: UInt64 = 0
    private var linked: [ViewWalk.Inode: Bytes] = [:]
    private let plan: ConfinedPlan.Copy
    private let top: Int32

    /// `top`: the destination, open, empty; it stays the caller's.
    init(_ plan: ConfinedPlan.Copy, top: Int32) {
        self.plan = plan
        self.top = top
    }

    mutating func run() throws(Failure) {
        do {
            let source = try Descriptor.open(plan.source.path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
            var facts = stat()
            if fstat(source.raw, &facts) < 0 { throw SystemError.last("fstat", plan.source.path) }
            if UInt64(facts.st_ino) != plan.source.inode || UInt64(facts.st_dev) != plan.source.device {
                throw SystemError("open", plan.source.path, errno: ESTALE)
            }
            try directory(source.raw, top, [], mode: facts.st_mode & 0o1777, depth: 0)
        } catch let error as SystemError {
            throw Failure("workspace.copy", "can't copy the workspace: \(error)", errno: error.errno)
        } catch let failure as Failure {
            throw failure
        } catch {
            throw Failure("workspace.copy", "can't copy the workspace: \(error)")
        }
    }

    private mutating func directory(_ from: Int32, _ to: Int32, _ path: Bytes, mode: mode_t, depth: Int) throws {
        if depth > TreeCopy.deepest { throw tooLarge("is deeper than \(TreeCopy.deepest) directories") }
        if aegix_is_pseudo(from) != 0 {
            throw Failure(
                "workspace.copy",
                "can't copy the workspace: \(Path.join(plan.source.path, path).shown) in it is a mount of the kernel's own "
                    + "files. Unmount it, or name another workspace")
        }
        known[path] = .directory(mode: mode)
        for entry in try DirectoryListing.entries(try Descriptor.openBeneath(from, Bytes("."), O_RDONLY | O_DIRECTORY))
        {
            let place = path.isEmpty ? entry.name : Path.join(path, entry.name)
            if plan.leftOut.contains(Path.join(plan.source.path, place)) { continue }
            var facts = stat()
            if entry.name.withCString({ fstatat(from, $0, &facts, AT_SYMLINK_NOFOLLOW) }) < 0 {
                if errno == ENOENT { continue }
                throw SystemError.last("stat", place)
            }
            if known.count >= plan.mostEntries { throw tooLarge("has more than \(plan.mostEntries) entries") }
            do {
                try copy(entry.name, facts, from: from, to: to, place, depth: depth)
            } catch let error as SystemError where error.errno == EACCES && error.call == "open" {
                unreadable += 1
            }
        }
        // Last: a directory that can't be written couldn't be filled.
        if fchmod(to, mode) < 0 { throw SystemError.last("chmod", path) }
    }

    private mutating func copy(
        _ name: Bytes, _ facts: stat, from: Int32, to: Int32, _ place: Bytes, depth: Int
    ) throws {
        switch facts.st_mode & S_IFMT {
        case S_IFDIR:
            let inner = try Descriptor.openBeneath(from, name, O_RDONLY | O_DIRECTORY)
            if name.withCString({ mkdirat(to, $0, 0o700) }) < 0 { throw SystemError.last("mkdir", place) }
            let made = try Descriptor.openBeneath(to, name, O_RDONLY | O_DIRECTORY)
            try directory(inner.raw, made.raw, place, mode: facts.st_mode & 0o1777, depth: depth + 1)
            _ = aegix_set_times(made.raw, Int64(facts.st_mtim.tv_sec), Int64(facts.st_mtim.tv_nsec))
        case S_IFREG: try file(name, from: from, to: to, place)
        case S_IFLNK:
            let target = try TreeCopy.link(from, name)
            if target.withCString({ text in name.withCString { aegix_symlinkat(text, to, $0) } }) < 0 {
                throw SystemError.last("symlink", place)
            }
            known[place] = .link(target)
        default: special += 1
        }
    }

    private mutating func file(_ name: Bytes, from: Int32, to: Int32, _ place: Bytes) throws {
        let source = try Descriptor.openBeneath(from, name, O_RDONLY | O_NONBLOCK)
        var facts = stat()
        if fstat(source.raw, &facts) < 0 { throw SystemError.last("fstat", place) }
        if facts.st_mode & S_IFMT != S_IFREG {
            special += 1
            return
        }
        // Two names of one file stay that.
        let inode = ViewWalk.Inode(device: UInt64(facts.st_dev), inode: UInt64(facts.st_ino))
        if facts.st_nlink > 1, let other = linked[inode] {
            let rc = other.withCString { old in name.withCString { linkat(top, old, to, $0, 0) } }
            if rc < 0 { throw SystemError.last("link", place) }
            known[place] = known[other]
            return
        }
        let mode = facts.st_mode & 0o777
        let target = try Descriptor.open(name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600, at: to)
        let digest = try content(source.raw, target.raw, place)
        if fchmod(target.raw, mode) < 0 { throw SystemError.last("chmod", place) }
        let (seconds, nanoseconds) = (facts.st_mtim.tv_sec, facts.st_mtim.tv_nsec)
        if aegix_set_times(target.raw, Int64(seconds), Int64(nanoseconds)) < 0 {
            throw SystemError.last("utimens", place)
        }
        var made = stat()
        if fstat(target.raw, &made) < 0 { throw SystemError.last("fstat", place) }
        known[place] = .file(
            mode: mode, size: Int64(made.st_size), seconds: made.st_mtim.tv_sec, nanoseconds: made.st_mtim.tv_nsec,
            digest: digest)
        if facts.st_nlink > 1 { linked[inode] = place }
    }

    /// Shared blocks where the file system can, else byte by byte; the digest is of what the copy holds.
    private mutating func content(_ from: Int32, _ to: Int32, _ place: Bytes) throws -> String {
        let isClone = aegix_clone_file(from, to) == 0
        var running = SHA256()
        var buffer = Bytes(repeating: 0, count: 1 << 17)
        while true {
            let count = read(isClone ? to : from, &buffer, buffer.count)
            if count < 0 {
                if errno == EINTR { continue }
                throw SystemError.last("read", place)
            }
            if count == 0 { return running.finish() }
            bytes += UInt64(count)
            if bytes > plan.mostBytes { throw tooLarge("holds more than \(plan.mostBytes) bytes") }
            buffer.withUnsafeBytes { running.update(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
            if isClone { continue }
            var done = 0
            while done < count {
                let written = buffer.withUnsafeBytes { write(to, $0.baseAddress?.advanced(by: done), count - done) }
                if written < 0 {
                    if errno == EINTR { continue }
                    throw SystemError.last("write", place)
                }
                done += written
            }
        }
    }

    /// The text of a symlink.
    static func link(_ directory: Int32, _ name: Bytes) throws(SystemError) -> Bytes {
        var buffer = Bytes(repeating: 0, count: 4096)
        let room = buffer.count
        let count = name.withCString { aegix_readlinkat(directory, $0, &buffer, room) }
        if count < 0 { throw SystemError.last("readlink", name) }
        return Bytes(buffer[..<count])
    }

    /// Of a whole file, from where it stands.
    static func digest(_ file: Int32) throws(SystemError) -> String {
        var running = SHA256()
        var buffer = Bytes(repeating: 0, count: 1 << 17)
        while true {
            let count = read(file, &buffer, buffer.count)
            if count < 0 {
                if errno == EINTR { continue }
                throw SystemError.last("read")
            }
            if count == 0 { return running.finish() }
            buffer.withUnsafeBytes { running.update(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
        }
    }

    private func tooLarge(_ how: String) -> Failure {
        Failure(
            "workspace.large",
            "the workspace \(plan.source.path.shown) \(how): too large for tier confined, which works on a copy. Name a "
                + "smaller one with `--workspace DIR`, use workspace mode \"direct\" or \"read-only\", or allow "
                + "namespaces (`aegix doctor` shows how)")
    }
}
